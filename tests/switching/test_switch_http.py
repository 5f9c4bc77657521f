"""Switches over HTTP: the steps, what is refused, what the watch says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.serving import Served, Tail, append, settings_of

pytestmark = pytest.mark.slow
ROUTE = "/v1/routes/event_stream/t_demo/dev/default/lab"
ADDRESS = f"{ROUTE}/switch"
DESCRIBED = "/v1/routes/{resource_kind}/{tenant_id}/{env}/{project_id}/{mode}/switch"
TARGET = {"backend_type": "filesystem", "config": {"root": "there"}, "reason": "it lasts"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path, settings_of(heartbeat_s=0.2)) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client(**{"x-user-id": "ada"}) as client:
        yield client


def step(client: httpx.Client, name: str) -> dict[str, Any]:
    answer = client.post(f"{ADDRESS}/{name}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def level(served: Served, client: httpx.Client) -> None:
    step(client, "run")
    key = served.ask(lambda spine: spine.switches.list()[0].key)
    served.ask(lambda spine: spine.switches.wait_level(key))


def test_the_steps_of_a_switch(served: Served, client: httpx.Client) -> None:
    stored = append(client, "chat", "one", "two")
    document = client.get("/openapi.json").json()
    answers = document["paths"][DESCRIBED]["post"]["responses"]
    described = answers["201"]["content"]["application/json"]["schema"]["properties"]
    none = client.get(ADDRESS)
    assert (none.status_code, none.json()["code"]) == (404, "switch_not_found")
    started = client.post(ADDRESS, json=TARGET)
    assert started.status_code == 201
    switch = started.json()
    assert switch.keys() == described.keys(), "as the OpenAPI document says"
    assert (switch["state"], switch["next_steps"]) == ("prepared", ["run", "cancel"])
    assert (switch["started_by"], switch["reason"]) == ("ada", "it lasts")
    early = client.post(f"{ADDRESS}/switch")
    assert (early.status_code, early.json()["code"]) == (409, "switch_refused")
    assert "next: run, cancel" in early.json()["detail"]

    level(served, client)
    found = step(client, "verify")
    assert found["verification"]["difference"] is None
    parts = described["verification"]["anyOf"][0]["properties"]
    assert found["verification"].keys() == parts.keys()
    assert found["progress"].keys() == described["progress"]["properties"].keys()
    assert found["progress"]["level"] == found["progress"]["streams"] >= 1
    assert step(client, "switch")["state"] == "switched"
    route = client.get(ROUTE).json()
    assert (route["backend_type"], route["reason"]) == ("filesystem", "it lasts")
    assert route["health"]["state"] == "serving"
    assert client.get("/v1/streams/chat/events").json()["events"] == stored

    closed = client.put(ROUTE, json={"backend_type": "memory"})
    assert (closed.status_code, closed.json()["code"]) == (409, "route_conflict")
    assert step(client, "reverse")["state"] == "reversed"
    assert step(client, "finish")["next_steps"] == []
    listed = client.get("/v1/routes/switches").json()["switches"]
    assert [one["state"] for one in listed] == ["finished"]
    history = client.get("/v1/routes/history", params={"limit": 2}).json()["changes"]
    assert [(one["action"], one["by"]) for one in history] == [("switch", "ada")] * 2


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_route"),
        ({"backend_type": "memory"}, 409, "switch_refused"),
        ({"backend_type": "tape"}, 422, "unsupported_backend"),
        ({"backend_type": "filesystem", "config": {"root": "/"}}, 422, "invalid_route"),
        ({"backend_type": "memory", "unknown": 1}, 422, "invalid_route"),
        ({"backend_type": "memory", "reason": 7}, 400, "invalid_request"),
        ({"backend": "not declared"}, 422, "invalid_route"),
    ],
)
def test_a_target_that_will_not_do(
    client: httpx.Client, body: dict[str, Any], status: int, code: str
) -> None:
    answer = client.post(ADDRESS, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert client.get(ADDRESS).status_code == 404


def test_a_route_that_is_not_there(client: httpx.Client) -> None:
    missing = client.post(ADDRESS.replace("dev", "no"), json=TARGET)
    assert (missing.status_code, missing.json()["code"]) == (404, "route_not_found")
    unknown = client.post(ADDRESS.replace("event_stream", "tape"), json=TARGET)
    assert (unknown.status_code, unknown.json()["code"]) == (400, "invalid_request")


def test_the_watch_tells_of_each_step(served: Served, client: httpx.Client) -> None:
    revision = client.get("/v1/routes").json()["revision"]
    seen = {"rev": str(revision)}
    with client.stream("GET", "/v1/routes/watch", params=seen) as response:
        tail = Tail(response)
        client.post(ADDRESS, json=TARGET)
        level(served, client)
        step(client, "verify")
        step(client, "switch")
        states: list[str] = []
        while "switched" not in states:
            event = tail.take(1)[0]
            if event.name == "switch":
                states.append(json.loads(event.data)["state"])
        assert states[0] == "prepared"
        assert states == sorted(states, key=ORDER.index), "in their order"
    with client.stream("GET", "/v1/routes/watch") as response:
        events = Tail(response)
        first, second = events.take(2)
        assert (first.name, second.name) == ("reload", "switch"), "what is open comes first"


ORDER = ["prepared", "copying", "dual_writing", "verified", "switched"]


def test_a_dry_run_says_what_a_plain_change_would_leave_behind(client: httpx.Client) -> None:
    for n in range(3):
        append(client, f"s{n}", "x")
    wanted = {"backend_type": "filesystem"}
    trial = client.put(ROUTE, params={"dry_run": 1}, json=wanted).json()
    assert trial["left_behind"] >= 3
