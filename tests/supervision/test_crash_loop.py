"""A child that crashes in a loop: how often it is restarted, who is told, how it ends."""

from __future__ import annotations

import math
from pathlib import Path

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from eventspine.api.app import create_app
from eventspine.contracts.errors import EventspineError
from eventspine.runtime.supervisor import Escalation
from eventspine.services.spine import Spine
from tests.supervision.breakable import (
    BACKEND,
    CONTEXT,
    THREADS_TAKE_S,
    Breakable,
    breakable,
    event,
    outcome,
    store_of,
)

pytestmark = pytest.mark.slow

INTENSITY, PERIOD_S = 3, 5.0


async def _crash_store(spine: Spine, state: Breakable) -> None:
    """A bug in the middle of a commit, once, and the restart that follows."""
    state.bug = ZeroDivisionError("a bug in the store")
    with pytest.raises(EventspineError) as caught:
        await spine.append("s", event(), CONTEXT)
    assert caught.value.code == "outcome_unknown"
    state.bug = None


async def _until_ready(spine: Spine) -> None:
    with trio.fail_after(10):
        while not spine.ready()["ready"]:  # noqa: ASYNC110 - as a probe of /readyz does
            await trio.sleep(0.01)


@pytest.mark.trio
async def test_health_tells_of_a_crash_and_of_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with breakable(tmp_path, monkeypatch, autojump_clock) as (spine, state):
        autojump_clock.autojump_threshold = math.inf  # it stands still while we look
        transport = httpx.ASGITransport(create_app(spine))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            assert (await http.get("/readyz")).status_code == 200
            await _crash_store(spine, state)
            while store_of(spine).state != "waiting":
                await wait_all_tasks_blocked()  # it is closed on a thread
            down = await http.get("/readyz")
            assert down.status_code == 503
            check = down.json()["checks"]["memory:default"]
            assert not check["ok"]
            assert "ZeroDivisionError" in check["detail"]
            tree = (await http.get("/v1/supervisor")).json()
            (backend,) = (child for child in tree["children"] if child["name"] == BACKEND)
            store = backend["below"]["children"][0]
            assert (store["state"], store["restarts"], store["outages"]) == ("waiting", 1, 0)
            assert "a bug in the store" in store["causes"][0]["cause"]
            assert backend["below"]["budget_left"] == INTENSITY - 1
            assert tree["budget_left"] == INTENSITY
            assert (await http.get("/healthz")).status_code == 200
            autojump_clock.autojump_threshold = THREADS_TAKE_S
            await _until_ready(spine)
            assert (await http.get("/readyz")).status_code == 200
        assert await outcome(spine, "s") == "stored"


@pytest.mark.trio
async def test_crashes_that_are_far_apart_are_bearable_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with breakable(tmp_path, monkeypatch, autojump_clock) as (spine, state):
        for _ in range(2 * INTENSITY):
            await _crash_store(spine, state)
            await trio.sleep(PERIOD_S + 1)
            assert await outcome(spine, "s") == "stored"
        assert store_of(spine).restarts == 2 * INTENSITY
        assert spine.tree().budget_left == INTENSITY


@pytest.mark.trio
async def test_a_loop_of_crashes_climbs_the_tree_and_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Three restarts of the store are bearable, three of its backend: sixteen crashes in all."""
    told: list[int] = []
    states: list[Breakable] = []

    async def crash_on() -> None:
        async with breakable(tmp_path, monkeypatch, autojump_clock) as (spine, broken):
            states.append(broken)
            await loop(spine, broken)

    async def loop(spine: Spine, state: Breakable) -> None:
        # Hardly faster than the world: all of it has to happen within five seconds.
        autojump_clock.autojump_threshold = 10 * THREADS_TAKE_S
        state.bug = ZeroDivisionError("a bug in the store")
        while True:
            await _until_ready(spine)
            await outcome(spine, "s")
            (backend,) = (child for child in spine.tree().children if child.name == BACKEND)
            told.append(backend.restarts)
            await trio.sleep(0.01)

    with pytest.raises(ExceptionGroup) as caught:
        await crash_on()
    escalations = caught.value.subgroup(Escalation)
    assert escalations is not None
    (last,) = escalations.exceptions
    assert str(last).startswith("eventspine: more than 3 restarts in 5.0 s")
    assert isinstance(last.__cause__, Escalation)
    assert isinstance(last.__cause__.__cause__, ZeroDivisionError)
    assert states[0].crashed == (INTENSITY + 1) ** 2
    assert max(told) == INTENSITY
