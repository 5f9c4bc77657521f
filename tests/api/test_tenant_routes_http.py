"""A tenant's own routes over HTTP, files that are not taken, and secrets that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventspine.api.problem import document
from eventspine.contracts.errors import SecretUnavailable
from eventspine.contracts.settings import Settings
from tests.api.serving import LAB, Served

pytestmark = pytest.mark.slow
ADDRESS = "/v1/tenant/routes/event_stream"
ACME = {"X-Tenant-Id": "acme", "X-Env": "dev", "X-Mode": "lab"}
BACKEND = {"kinds": ["event_stream"], "tenants": ["acme"], "modes": ["lab"]}
DECLARED = {
    "lab": LAB.model_dump(),
    "routing": {"tenant_editable": True, "file": "routes.toml"},
    "backends": {
        "fast": {**BACKEND, "backend_type": "memory", "config": {"name": "hidden-place"}},
        "kept": {**BACKEND, "backend_type": "filesystem", "config": {"root": "hidden-folder"}},
        "private": {**BACKEND, "backend_type": "memory", "tenants": ["other"]},
    },
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("root"), Settings.model_validate(DECLARED)) as server:
        yield server


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    return body


def test_a_tenant_chooses_a_backend_and_gives_it_back(client: httpx.Client) -> None:
    before = client.get(ADDRESS, headers=ACME).json()
    assert before == {
        "resource_kind": "event_stream",
        "served": False,
        "backend": None,
        "revision": None,
        "state": None,
        "choices": ["fast", "kept"],
    }
    event = {"event_type": "t", "payload": {}}
    answer = client.post("/v1/streams/s/events", json=event, headers=ACME)
    problem(answer, 404, "no_route_configured")
    chosen = client.put(ADDRESS, json={"backend": "fast", "reason": "quick"}, headers=ACME)
    assert chosen.status_code == 200
    assert (chosen.json()["backend"], chosen.json()["state"]) == ("fast", "serving")
    tag = chosen.headers["etag"]
    assert tag == f'"{chosen.json()["revision"]}"'
    assert client.post("/v1/streams/s/events", json=event, headers=ACME).status_code == 201
    stale = {**ACME, "If-Match": '"1"'}
    problem(client.put(ADDRESS, json={"backend": "kept"}, headers=stale), 409, "route_conflict")
    fresh = {**ACME, "If-Match": tag}
    assert client.put(ADDRESS, json={"backend": "kept"}, headers=fresh).status_code == 200
    listed = client.get("/v1/tenant/routes", headers=ACME).json()
    assert listed["editable"] is True
    assert [route["backend"] for route in listed["routes"]] == ["kept"]
    assert client.delete(ADDRESS, headers=ACME).status_code == 204
    problem(client.delete(ADDRESS, headers=ACME), 404, "route_not_found")


def test_a_tenant_sees_no_place_and_names_none(client: httpx.Client) -> None:
    client.put(ADDRESS, json={"backend": "kept"}, headers=ACME)
    shown = (
        client.get(ADDRESS, headers=ACME).text + client.get("/v1/tenant/routes", headers=ACME).text
    )
    assert "hidden" not in shown
    assert "private" not in shown
    for body in (
        {"backend": "private"},
        {"backend": "filesystem"},
        {"backend": "fast", "config": {"root": "/etc"}},
        {"backend": "fast", "backend_type": "memory"},
        {"backend": "fast", "tenant_id": "other"},
        {"backend": None},
        {},
    ):
        problem(client.put(ADDRESS, json=body, headers=ACME), 422, "invalid_route")
    other = f"{ADDRESS}?tenant_id=other"
    problem(client.put(other, json={"backend": "fast"}, headers=ACME), 400, "invalid_request")
    client.delete(ADDRESS, headers=ACME)


def test_what_the_operator_wrote_and_a_star_are_no_tenants(client: httpx.Client) -> None:
    choice = {"backend": "fast"}
    problem(client.put(ADDRESS, json=choice), 403, "route_not_editable")  # the lab's own row
    for field in ("X-Tenant-Id", "X-Env", "X-Project-Id"):
        answer = client.put(ADDRESS, json=choice, headers={**ACME, field: "*"})
        problem(answer, 403, "route_not_editable")
    problem(
        client.put("/v1/tenant/routes/floppy", json=choice, headers=ACME), 400, "invalid_request"
    )


def test_an_operator_may_name_a_declared_backend_too(client: httpx.Client) -> None:
    key = {"resource_kind": "event_stream", "tenant_id": "acme", "env": "op", "mode": "lab"}
    made = client.post("/v1/routes", json={**key, "backend": "fast"})
    assert (made.status_code, made.json()["backend"]) == (201, "fast")
    found = client.get("/v1/routes/resolve", params=key).json()
    assert (found["backend_type"], found["config"]) == ("memory", {"name": "hidden-place"})
    both = {**key, "env": "op2", "backend": "fast", "backend_type": "memory"}
    problem(client.post("/v1/routes", json=both), 422, "invalid_route")
    nowhere = client.post("/v1/routes", json={**key, "env": "op2", "backend": "nowhere"})
    assert problem(nowhere, 422, "invalid_route")["field"] == "backend"
    address = "/v1/routes/event_stream/acme/op/default/lab"
    tried = client.put(address, params={"dry_run": 1}, json={"backend": "kept"})
    assert tried.json()["probe"]["ok"], tried.text
    assert client.delete(address).status_code == 204


def test_a_file_that_is_not_taken_is_said_and_costs_nobody_the_service(
    client: httpx.Client, served: Served
) -> None:
    ready = client.get("/readyz")
    assert ready.status_code == 200
    check = ready.json()["checks"]["routes in routes.toml"]
    assert check == {"ok": True, "detail": "not taken: it is not there"}
    key = {"resource_kind": "event_stream", **LAB.model_dump()}
    explained = client.get("/v1/routes/explain", params=key).json()
    assert explained["files"] == {"routes.toml": "not taken: it is not there"}
    assert "eventspine_route_files_refused 1.0" in client.get("/metrics").text


def test_while_the_registrys_file_is_broken_changes_wait(
    client: httpx.Client, served: Served
) -> None:
    own = Path(served._root) / "routing_registry_store" / "routes.json"
    good = own.read_text()
    own.write_text("{")
    try:
        answer = client.put(ADDRESS, json={"backend": "fast"}, headers=ACME)
        body = problem(answer, 503, "registry_edit_broken")
        assert body["outcome"] == "never_ran"
        assert "retry-after" in answer.headers
    finally:
        own.write_text(good)
    assert client.put(ADDRESS, json={"backend": "fast"}, headers=ACME).status_code == 200
    client.delete(ADDRESS, headers=ACME)


def test_a_value_where_a_reference_belongs_is_refused_and_not_repeated(
    client: httpx.Client,
) -> None:
    key = {"resource_kind": "object_store", "tenant_id": "acme", "env": "dev", "mode": "lab"}
    route = {**key, "backend_type": "filesystem", "config": {"signing_key": "5up3r-s3cret-value"}}
    answer = client.post("/v1/routes", json=route)
    assert problem(answer, 422, "invalid_route")["field"] == "config.signing_key"
    assert "5up3r" not in answer.text
    route["config"] = {"signing_key": "secret://nowhere"}
    assert (
        "secret://nowhere"
        in problem(client.post("/v1/routes", json=route), 422, "invalid_route")["detail"]
    )


def test_where_a_secret_is_kept_is_not_told_to_callers() -> None:
    error = SecretUnavailable(
        "secret://k: file /run/secrets/k is not there", reference="secret://k"
    )
    body = document(error, 503, "/v1/objects/x", "r1")
    assert body["reference"] == "secret://k"
    assert "/run/secrets" not in str(body)
