"""Circuits of real backends in virtual time: a minute away, flapping, a probe that hangs."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from eventspine.adapters.memory.event_stream import MemoryEventStreamStore
from eventspine.contracts.audit import SYSTEM_TENANT, TIMELINE_STREAM
from eventspine.contracts.circuit import CircuitHealth
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import StoreFull, StoreUnavailable
from eventspine.contracts.route import ResourceKind, RouteKey, RouteSpec
from eventspine.contracts.settings import RoutingSettings
from eventspine.services.spine import Spine
from tests.supervision.breakable import CONTEXT, Breakable, breakable, event, outcome, store_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.trio]

ROUTE = RouteKey("event_stream", "t", "e", "default", "lab")
OTHER = RequestContext(tenant_id="other", env="e", mode="lab")
SYSTEM = RequestContext(tenant_id=SYSTEM_TENANT, env="e", mode="lab")
SENTINEL = "event_stream/eventspine-probe/"
ROUTING = RoutingSettings(probe_every_s=5, probe_s_max=2)
Opened = Callable[..., Any]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """A breakable backend, and another one for another tenant and the timeline."""

    @asynccontextmanager
    async def both(clock: MockClock) -> AsyncIterator[tuple[Spine, Breakable]]:
        async with breakable(tmp_path, monkeypatch, clock, ROUTING) as (spine, state):
            monkeypatch.setattr(
                "eventspine.bootstrap.backends.MemoryEventStreamStore", MemoryEventStreamStore
            )
            for tenant in (OTHER.tenant_id, SYSTEM_TENANT):
                await spine.routes.create(
                    RouteSpec(
                        resource_kind=ResourceKind.EVENT_STREAM,
                        backend_type="memory",
                        config={"name": "other"},
                        tenant_id=tenant,
                        env="e",
                        mode="lab",
                    )
                )
            await spine.append("s", event(), OTHER)
            await spine.append("s", event(), CONTEXT)
            await spine.audit.queue.settled()
            yield spine, state

    return both


def circuit(spine: Spine) -> CircuitHealth:
    found = spine.routes.health(ROUTE).circuit
    assert found is not None
    return found


def probes(state: Breakable, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sentinels that are written from now on."""
    seen = list[str]()
    commit = state.memory.commit

    def noted(batch: Any) -> None:
        seen.extend(one.key for one in batch if one.key.startswith(SENTINEL))
        commit(batch)

    monkeypatch.setattr(state.memory, "commit", noted)
    return seen


async def until(spine: Spine, wanted: str, within_s: float) -> None:
    """Until the circuit is so, in virtual time."""
    with trio.fail_after(within_s):
        while circuit(spine).state != wanted:  # noqa: ASYNC110 - as an operator looks
            await trio.sleep(0.05)


async def told(spine: Spine) -> list[tuple[str, str]]:
    """What the timeline says of the circuit: before and after."""
    await spine.audit.queue.settled()
    page = await spine.list_after(TIMELINE_STREAM, None, SYSTEM, limit=1000)
    events = [json.loads(line) for line in page.lines]
    found = [one["payload"] for one in events if one["event_type"] == "routing.health"]
    assert all("/".join(ROUTE) in one["routes"] for one in found)
    return [(one["before"], one["state"]) for one in found]


async def at_once(work: Callable[[], Awaitable[object]]) -> StoreUnavailable:
    """The refusal of a call that must not take a moment of virtual time."""
    began = trio.current_time()
    with pytest.raises(StoreUnavailable) as caught:
        await work()
    assert trio.current_time() - began < 0.1
    return caught.value


async def test_a_minute_away_is_an_open_circuit_and_others_do_not_notice(
    opened: Opened, autojump_clock: MockClock
) -> None:
    async with opened(autojump_clock) as (spine, state):
        state.down = OSError(5, "the machine of the disk is gone")
        assert await outcome(spine, "s") == "outcome_unknown"
        until_s, others = trio.current_time() + 60, 0
        await until(spine, "open", 5)
        while trio.current_time() < until_s:
            error = await at_once(lambda: spine.append("s", event(), CONTEXT))
            assert isinstance(error.fields["retry_after_s"], int)
            assert 1 <= error.fields["retry_after_s"] <= 30
            await spine.append("s", event(), OTHER)
            others += 1
            await trio.sleep(1.0)
        assert others >= 50
        found = circuit(spine)
        assert found.state in ("open", "half_open")
        assert found.opened_at is not None
        assert found.last_error == "OSError: [Errno 5] the machine of the disk is gone"
        assert found.failures == state.refused + 1
        check = spine.ready()["checks"]["memory:default"]
        assert not check["ok"]
        assert check["circuit"]["opened_at"] == found.opened_at
        counts = spine.statistics().routes_by_circuit
        assert counts["closed"] == 2
        assert counts["open"] + counts["half_open"] == 1
        explained = spine.routes.explain(ROUTE)["health"]["circuit"]
        assert explained["opened_at"] == found.opened_at
        state.down = None
        await until(spine, "closed", 32)
        assert await outcome(spine, "s") == "stored"
        assert store_of(spine).restarts == 0
        assert spine.tree().budget_left == spine.tree().intensity
        with trio.fail_after(5):  # the watch looks soon after, and finds that it stores
            while circuit(spine).failures:  # noqa: ASYNC110 - as an operator looks
                await trio.sleep(0.05)
        assert circuit(spine).last_ok_at is not None
        changes = await told(spine)
        assert changes[0] == ("closed", "open")
        assert changes[-1][1] == "closed"


async def test_a_backend_that_flaps_counts_on_and_tells_each_time(
    opened: Opened, autojump_clock: MockClock
) -> None:
    async with opened(autojump_clock) as (spine, state):
        for n in range(4):
            state.down = OSError(5, "flap")
            assert await outcome(spine, "s") == "outcome_unknown"
            await until(spine, "open", 5)
            assert circuit(spine).failures > n
            state.down = None
            await until(spine, "closed", 32)
        assert store_of(spine).restarts == 0
        assert (await told(spine)).count(("closed", "open")) == 4
        (host,) = [one for one in spine.statistics().hosts if one.name == "memory:default"]
        assert (host.circuit.opened, host.circuit.closed) == (4, 1)


async def test_a_probe_that_hangs_opens_the_circuit_and_its_end_closes_it(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    gate, sentinels = threading.Event(), list[str]()
    async with opened(autojump_clock) as (spine, state):
        commit = state.memory.commit

        def hanging(batch: Any) -> None:
            sentinels.extend(one.key for one in batch if one.key.startswith(SENTINEL))
            assert gate.wait(20)
            commit(batch)

        monkeypatch.setattr(state.memory, "commit", hanging)
        began = trio.current_time()
        await until(spine, "open", 30)
        assert trio.current_time() - began < 2 * 5 + 3 * (2 + 1) + 1, "three deadlines"
        error = await at_once(lambda: spine.append("s", event(), CONTEXT))
        assert "the circuit is open" in error.detail
        await at_once(lambda: spine.append("never read before", event(), CONTEXT))
        await at_once(lambda: spine.head("never read before", CONTEXT))
        page = await spine.list_after("s", None, CONTEXT)
        assert len(page.lines) == 1, "what is at hand is still read"
        await spine.append("s", event(), OTHER)
        await trio.sleep(12)
        assert circuit(spine).state in ("open", "half_open")
        assert circuit(spine).last_error == "TimeoutError: a probe had no answer within 2 s"
        assert len(sentinels) == 1, "no second one is sent after it"
        gate.set()
        await until(spine, "closed", 10)
        assert await outcome(spine, "s") == "stored"
        assert circuit(spine).failures == 0


async def test_what_is_stored_anyway_needs_no_probe_and_a_quiet_backend_gets_one(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with opened(autojump_clock) as (spine, state):
        seen = probes(state, monkeypatch)
        for _ in range(20):
            await spine.append("s", event(), CONTEXT)
            await trio.sleep(1.0)
        assert seen == []
        assert circuit(spine).last_ok_at is not None
        await trio.sleep(11)
        assert len(seen) >= 2, "written and deleted"
        assert circuit(spine).failures == 0


async def test_a_full_disk_is_noted_and_is_no_outage(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with opened(autojump_clock) as (spine, state):

        def full(batch: Any) -> None:
            raise StoreFull("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(state.memory, "commit", full)
            await trio.sleep(11)
            assert await outcome(spine, "s") == "store_full"
            found = circuit(spine)
            assert (found.state, found.failures) == ("closed", 0)
            assert found.last_error == "StoreFull: no space left"
        assert await outcome(spine, "s") == "stored"


async def test_what_the_mode_guard_refuses_is_not_probed(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with opened(autojump_clock) as (spine, state):
        seen = probes(state, monkeypatch)
        monkeypatch.setattr(spine.routes, "may_serve", lambda route: route.tenant_id != "t")
        await trio.sleep(11)
        assert seen == []
