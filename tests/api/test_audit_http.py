"""The audit and the health of routes over HTTP."""

from __future__ import annotations

import json

import httpx
import pytest

pytestmark = pytest.mark.slow
ON_AUDIT = {"x-surface-id": "audit"}
EVENTS = "/v1/streams/audit/events"
EVENT = {"event_type": "audit", "payload": {"action": "forged"}}


def records(client: httpx.Client, action: str) -> list[dict[str, object]]:
    page = client.get(EVENTS, headers=ON_AUDIT, params={"before": "latest", "limit": 1000}).json()
    return [one for one in page["events"] if one["payload"]["action"] == action]


def test_a_record_is_kept_and_read_as_an_event(client: httpx.Client) -> None:
    body = {"action": "note.create", "surface": "notes", "metadata": {"password": "x", "n": 1}}
    headers = {"x-user-id": "ada", "x-request-id": "r-1"}
    answer = client.post("/v1/audit", json=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"kept": True})
    (found,) = records(client, "note.create")
    assert found["payload"]["metadata"] == {"password": "[redacted]", "n": 1}  # type: ignore[index]
    assert found["metadata"]["user_id"] == "ada"  # type: ignore[index]
    assert found["payload"]["request_id"] == "r-1"  # type: ignore[index]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"action": 1}, 400, "invalid_request"),
        ({"action": ""}, 422, "invalid_id"),
        ({"action": "a", "metadata": []}, 400, "invalid_request"),
        ({"action": "a", "more": 1}, 400, "invalid_request"),
        ([], 422, "invalid_route"),
    ],
)
def test_what_is_no_record_is_refused(
    client: httpx.Client, body: object, status: int, code: str
) -> None:
    answer = client.post("/v1/audit", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_the_stream_of_the_audit_is_sealed_on_every_way(client: httpx.Client) -> None:
    client.post("/v1/audit", json={"action": "first"})
    assert client.get(EVENTS, headers=ON_AUDIT).status_code == 200
    for _ in range(2):  # also once it is known to the lane
        for answer in (
            client.post(EVENTS, json=EVENT, headers=ON_AUDIT),
            client.post(EVENTS, json=[EVENT, EVENT], headers=ON_AUDIT),
            client.post("/timeline/audit/append", json=EVENT, headers=ON_AUDIT),
            client.post("/v1/streams/audit/close", headers=ON_AUDIT),
            client.delete("/v1/streams/audit", headers=ON_AUDIT),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "stream_sealed")
    assert records(client, "forged") == []
    assert client.post(EVENTS, json=EVENT).status_code == 201, "another surface"


def test_a_change_of_a_route_names_the_request(client: httpx.Client) -> None:
    address = "/v1/routes/event_stream/t_audited/dev/default/lab"
    headers = {
        "x-user-id": "ada",
        "x-request-id": "r-2",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    body = {"backend_type": "memory", "config": {"name": "audited"}, "reason": "why not"}
    assert client.put(address, json=body, headers=headers).status_code == 201
    client.headers["x-tenant-id"] = "t_audited"
    (founding,) = records(client, "routing.update")
    payload = founding["payload"]
    assert isinstance(payload, dict)
    assert (payload["request_id"], payload["trace_id"]) == ("r-2", "a" * 32)
    assert (payload["metadata"]["by"], payload["metadata"]["reason"]) == ("ada", "why not")
    assert payload["metadata"]["founding"] is True
    client.get("/v1/routes/explain", params=dict(zip(KEY, address.split("/")[3:], strict=True)))
    assert client.delete(address, headers=headers).status_code == 204


KEY = ("resource_kind", "tenant_id", "env", "project_id", "mode")


def test_health_is_in_every_answer_about_a_route(client: httpx.Client) -> None:
    client.post("/v1/streams/h/events", json=EVENT)
    *routes, registry = client.get("/v1/routes").json()["routes"]
    assert registry["health"]["circuit"] is None, "no route leads to it"
    for route in routes:
        circuit = route["health"]["circuit"]
        assert (circuit["state"], circuit["failures"], circuit["opened_at"]) == ("closed", 0, None)
    ready = client.get("/readyz").json()
    assert ready["ready"]
    for name, check in ready["checks"].items():
        assert check["circuit"]["backend"] == name
    text = client.get("/metrics").text
    assert 'eventspine_routes_by_circuit{of="open"} 0.0' in text
    assert "eventspine_audit_stored_total" in text
    assert "eventspine_circuit_opened_total" in text


def test_the_openapi_document_knows_the_members(client: httpx.Client) -> None:
    document = json.dumps(client.get("/openapi.json").json())
    for word in ("half_open", "emitAuditRecord", "kept", "next_try_at"):
        assert word in document
