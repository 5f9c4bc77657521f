"""The watch over backends on every loop: a probe that works, one that hangs, and who is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventspine.actors.backend_health import BackendHealth
from eventspine.actors.host import PROBE_KEYS, StreamHost
from eventspine.actors.stream import StreamActor
from eventspine.contracts.circuit import CircuitState
from eventspine.contracts.errors import OutcomeUnknown, StoreUnavailable
from eventspine.contracts.settings import RoutingSettings
from eventspine.contracts.stores import CommitKind
from eventspine.services.routing.health import HealthWatch
from eventspine.services.spine import Spine
from tests.actors.faulty import CONTEXT, Faults, event, open_faulty

pytestmark = pytest.mark.anyio
QUICK = RoutingSettings.model_construct(probe_every_s=0.02, probe_s_max=0.05, probes_at_once=4)


class Changes:
    """The states that a backend's circuit had, to be waited for."""

    def __init__(self, health: BackendHealth) -> None:
        self.seen: list[CircuitState] = []
        self._moved = anyio.Event()
        health.listeners.append(self._note)

    def _note(self, health: BackendHealth, before: CircuitState) -> None:
        self.seen.append(health.circuit.state)
        self._moved.set()

    async def wait(self, state: CircuitState) -> None:
        with anyio.fail_after(20):
            while state not in self.seen:
                self._moved = anyio.Event()
                await self._moved.wait()


@asynccontextmanager
async def watched(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Spine, Faults, StreamHost, Changes]]:
    """A backend that is looked at fifty times a second, by a second watch of the test's own."""
    async with open_faulty(root, monkeypatch) as (spine, faults):
        (host,) = spine._hosts
        changes = Changes(host.health)
        watch = HealthWatch(spine.routes, spine.health._actors, QUICK)
        watch.watch(host)
        async with anyio.create_task_group() as tasks:
            await tasks.start(watch.run)
            yield spine, faults, host, changes
            tasks.cancel_scope.cancel()


async def test_a_quiet_backend_is_probed_and_nothing_of_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted = anyio.Event()
    settled = StreamActor.settled

    def telling(actor: StreamActor, commit: Any, error: BaseException | None) -> None:
        settled(actor, commit, error)
        if actor.key.startswith(PROBE_KEYS) and commit.kind is CommitKind.DELETE:
            deleted.set()

    monkeypatch.setattr(StreamActor, "settled", telling)
    async with watched(tmp_path, monkeypatch) as (_, faults, host, changes):
        with anyio.fail_after(20):
            await deleted.wait()
        assert changes.seen == []
        assert host.health.circuit.failures == 0
        kinds = [one.kind for batch in faults.batches for one in batch if PROBE_KEYS in one.key]
        assert kinds[:2] == [CommitKind.EVENTS, CommitKind.DELETE]


async def test_a_probe_that_hangs_refuses_callers_at_once_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(tmp_path, monkeypatch) as (spine, faults, host, changes):
        await spine.append("s", event(1), CONTEXT)
        faults.hold()
        try:
            await changes.wait("open")
            with pytest.raises(StoreUnavailable) as caught:
                await spine.append("s", event(2), CONTEXT)
            assert caught.value.fields["retry_after_s"]
            with pytest.raises(StoreUnavailable):
                await spine.append_batch("s", [event(2), event(3)], CONTEXT)
            with pytest.raises(StoreUnavailable):
                await spine.append("unknown", event(2), CONTEXT)
            assert len((await spine.list_after("s", None, CONTEXT)).lines) == 1
            assert not spine.ready()["ready"]
        finally:
            faults.release()
        await changes.wait("closed")
        appended = await spine.append("s", event(2), CONTEXT)
        assert list(appended.sequences) == [2]
        assert host.health.circuit.opens == 1


async def test_a_store_that_fails_opens_and_closes_without_the_watch_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(tmp_path, monkeypatch) as (spine, faults, host, changes):
        await spine.append("s", event(1), CONTEXT)
        faults.error = OSError(5, "the cable")
        with pytest.raises((OutcomeUnknown, StoreUnavailable)):
            await spine.append("s", event(2), CONTEXT)
        await changes.wait("open")
        await changes.wait("closed")
        await spine.append("s", event(3), CONTEXT)
        assert host.health.circuit.last_error is not None
        assert spine.tree().budget_left == spine.tree().intensity
