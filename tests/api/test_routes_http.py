"""The registry over HTTP: explain, history, rollback, dry run, plan and apply, watch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.slow
TENANT = "t_reg"
ADDRESS = f"/v1/routes/event_stream/{TENANT}/dev/default/lab"
SCOPE = {"resource_kind": "event_stream", "tenant_id": TENANT, "env": "dev", "mode": "lab"}


def put(client: httpx.Client, name: str, address: str = ADDRESS, **more: Any) -> dict[str, Any]:
    body = {"backend_type": "memory", "config": {"name": name}, **more}
    answer = client.put(address, json=body, headers={"x-user-id": "ada"})
    assert answer.status_code in (200, 201)
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(autouse=True)
def _clean(client: httpx.Client) -> Iterator[None]:
    yield
    for route in client.get("/v1/routes", params={"tenant_id": TENANT}).json()["routes"]:
        client.delete("/v1/routes/" + "/".join(route[k] for k in KEY))


KEY = ("resource_kind", "tenant_id", "env", "project_id", "mode")


def test_an_answer_says_how_the_route_is_served(client: httpx.Client) -> None:
    made = put(client, "one")
    serving = {"state": "serving", "serving_revision": made["revision"], "reason": None}
    assert made["health"].pop("circuit")["state"] == "closed"
    assert made["health"] == serving
    health = client.get(ADDRESS).json()["health"]
    assert health.pop("circuit")["backend"] == "memory:one"
    assert health == serving


def test_a_wild_row_is_resolved_and_explained(client: httpx.Client) -> None:
    put(client, "wild", f"/v1/routes/event_stream/{TENANT}/*/*/lab", tier="t", cost_notes="c")
    found = client.get("/v1/routes/resolve", params=SCOPE).json()
    assert (found["env"], found["tier"], found["cost_notes"]) == ("*", "t", "c")
    told = client.get("/v1/routes/explain", params=SCOPE).json()
    assert told["route"]["env"] == "*"
    assert [one["wins"] for one in told["candidates"]].count(True) == 1
    assert len(told["candidates"]) == 8
    missing = client.get("/v1/routes/explain", params={"env": "dev"})
    assert (missing.status_code, missing.json()["code"]) == (400, "invalid_request")
    wild = client.put(ADDRESS[:-3] + "*", json={"backend_type": "memory"})
    assert (wild.status_code, wild.json()["code"]) == (422, "invalid_route")


def test_history_and_rollback(client: httpx.Client) -> None:
    first = put(client, "one", reason="begin")["revision"]
    second = put(client, "two")["revision"]
    page = client.get("/v1/routes/history", params={"tenant_id": TENANT, "limit": 1}).json()
    (change,) = page["changes"]
    assert (change["revision"], change["by"], page["next"]) == (second, "ada", second)
    assert {"op": "replace", "path": "/config/name", "value": "two"} in change["rows"][0]["diff"]
    older = client.get("/v1/routes/history", params={"before": second, "limit": 1}).json()
    assert (older["changes"][0]["revision"], older["changes"][0]["reason"]) == (first, "begin")
    stale = client.post(
        "/v1/routes/rollback", json={"to": first}, headers={"if-match": f'"{first}"'}
    )
    assert (stale.status_code, stale.json()["code"]) == (409, "route_conflict")
    body = {"to": first, "reason": "two was slow"}
    back = client.post("/v1/routes/rollback", json=body, headers={"x-user-id": "eve"}).json()
    assert back["revision"] == second + 1
    assert (back["change"]["by"], back["change"]["reason"]) == ("eve", "two was slow")
    assert back["health"][f"event_stream/{TENANT}/dev/default/lab"]["state"] == "serving"
    assert client.get(ADDRESS).json()["config"] == {"name": "one"}
    assert client.post("/v1/routes/rollback", json={"to": first}).json()["change"] is None
    gone = client.post("/v1/routes/rollback", json={"to": 10_000})
    assert (gone.status_code, gone.json()["code"]) == (410, "revision_gone")
    for wrong in (
        {},
        {"to": "1"},
        {"to": True},
        {"to": -1},
        {"to": 1, "x": 1},
        {"to": 1, "reason": 2},
    ):
        answer = client.post("/v1/routes/rollback", json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), wrong


def test_a_dry_run_changes_nothing(client: httpx.Client) -> None:
    body = {**SCOPE, "backend_type": "memory", "config": {"name": "tried"}}
    tried = client.post("/v1/routes", params={"dry_run": "1"}, json=body)
    assert tried.status_code == 200
    assert tried.json()["probe"] == {
        "ok": True,
        "steps": ["open", "write", "read", "delete"],
        "detail": None,
    }
    assert client.get(ADDRESS).status_code == 404
    made = put(client, "one")
    change = {"backend_type": "memory", "config": {"name": "two"}}
    tried = client.put(ADDRESS, params={"dry_run": "1"}, json=change).json()
    assert (tried["action"], tried["revision"]) == ("update", made["revision"])
    assert tried["diff"] == [{"op": "replace", "path": "/config/name", "value": "two"}]
    assert client.get(ADDRESS).json() == made
    for query, bad, code in (
        ("2", body, "invalid_request"),
        ("1", {**body, "mode": "production"}, "backend_refused_in_mode"),
        ("1", {**body, "env": "e", "config": {"x": 1}}, "invalid_route"),
        ("1", body, "route_conflict"),
    ):
        refused = client.post("/v1/routes", params={"dry_run": query}, json=bad)
        assert refused.json()["code"] == code


def test_plan_and_apply_of_the_whole(client: httpx.Client) -> None:
    put(client, "one")
    listed = client.get("/v1/routes").json()
    extra = ("health", "revision", "updated_at", "updated_by")
    rows = [{k: v for k, v in row.items() if k not in extra} for row in listed["routes"]]
    file = {"serial": listed["revision"], "routes": rows}
    assert client.post("/v1/routes/plan", json=file).json()["rows"] == []
    mine = next(row for row in rows if row["tenant_id"] == TENANT)
    mine["config"] = {"name": "two"}
    plan = client.post("/v1/routes/plan", json=file).json()
    assert (plan["applies"], len(plan["rows"])) == (True, 1)
    done = client.post("/v1/routes/apply", json={**file, "reason": "spring"}).json()
    assert (done["revision"], done["change"]["reason"]) == (listed["revision"] + 1, "spring")
    assert client.get(ADDRESS).json()["config"] == {"name": "two"}
    late = client.post("/v1/routes/apply", json=file)
    assert (late.status_code, late.json()["code"]) == (409, "route_conflict")
    assert client.post("/v1/routes/plan", json=file).json()["applies"] is False
    bad = client.post("/v1/routes/apply", json={"serial": 1, "routes": [{"tenant_id": "x"}]})
    assert (bad.status_code, bad.json()["code"]) == (422, "invalid_route")
    production = {"serial": done["revision"], "routes": [*rows, {**mine, "mode": "production"}]}
    for path in ("/v1/routes/plan", "/v1/routes/apply"):
        refused = client.post(path, json=production)
        assert (refused.status_code, refused.json()["code"]) == (422, "backend_refused_in_mode")


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    name, event_id = "message", ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "id":
            event_id = value
        elif field == "data":
            yield name, event_id, json.loads(value)
            name = "message"


def test_a_watch_brings_changes_and_reloads_what_is_gone(client: httpx.Client) -> None:
    revision = put(client, "one")["revision"]
    with client.stream("GET", "/v1/routes/watch", params={"rev": revision - 1}) as answer:
        events = events_of(answer.iter_lines())
        name, event_id, change = next(events)
        assert (name, event_id, change["revision"]) == ("message", str(revision), revision)
        with httpx.Client(base_url=client.base_url) as other:
            later = put(other, "two")["revision"]
        name, event_id, change = next(events)
        assert (name, event_id) == ("message", str(later))
        assert change["rows"][0]["after"]["config"] == {"name": "two"}
    for query, headers in (
        ({}, {}),
        ({"rev": later + 5}, {}),
        ({"rev": later}, {"last-event-id": str(later + 5)}),
    ):
        with client.stream("GET", "/v1/routes/watch", params=query, headers=headers) as answer:
            name, event_id, everything = next(events_of(answer.iter_lines()))
            assert (name, event_id) == ("reload", str(later))
            assert TENANT in [route["tenant_id"] for route in everything["routes"]]
    assert client.get("/v1/routes/watch", params={"rev": "x"}).status_code == 400
