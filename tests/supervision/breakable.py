"""A spine on trio's own clock, over a memory whose store can be down, poisoned or full of bugs.

The clock goes in steps of `STEP_S`, each when nothing was to do for a real millisecond: a store
that opens on a thread takes hardly any virtual time, and a minute passes in two seconds. Nothing of
the product is replaced but the bytes' home.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from eventspine.adapters.memory.event_stream import MemoryEventStreamStore
from eventspine.bootstrap import open_spine
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import EventspineError
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import RoutingSettings, Settings
from eventspine.contracts.stores import StreamCommit, StreamHead
from eventspine.runtime.tree import ChildTree
from eventspine.services.spine import Spine

CONTEXT = RequestContext(tenant_id="t", env="e", mode="lab")
BACKEND = "backend memory:default"
THREADS_TAKE_S = 0.001
STEP_S = 0.03


class Breakable:
    """What goes wrong. The bytes are in `memory`, and stay when a store is opened anew."""

    def __init__(self) -> None:
        self.memory = MemoryEventStreamStore()
        self.down: BaseException | None = None  # of opening, and of every commit
        self.bug: BaseException | None = None  # of every commit; it can be opened
        self.poisoned: dict[str, BaseException] = {}  # by the last part of a key
        self.opened = self.refused = self.crashed = 0

    def open(self) -> MemoryEventStreamStore:
        if self.down is not None:
            self.refused += 1
            raise self.down
        self.opened += 1
        return _Store(self)


class _Store(MemoryEventStreamStore):
    def __init__(self, state: Breakable) -> None:
        super().__init__()
        self._state = state

    def commit(self, batch: Sequence[StreamCommit]) -> None:
        if self._state.down is not None:
            raise self._state.down
        if self._state.bug is not None:
            self._state.crashed += 1
            raise self._state.bug
        self._state.memory.commit(batch)

    async def head(self, key: str) -> StreamHead:
        poison = self._state.poisoned.get(key.rsplit("/", 1)[1])
        if poison is not None:
            raise poison
        return await self._state.memory.head(key)

    def read_nowait(self, key: str, first: int, count: int, bytes_max: int) -> list[bytes]:
        return self._state.memory.read_nowait(key, first, count, bytes_max)


@asynccontextmanager
async def breakable(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: MockClock,
    routing: RoutingSettings = RoutingSettings(),  # noqa: B008 - frozen
    **limits: object,
) -> AsyncIterator[tuple[Spine, Breakable]]:
    state = Breakable()
    clock.autojump_threshold = math.inf
    monkeypatch.setattr("eventspine.bootstrap.backends.MemoryEventStreamStore", state.open)
    settings = Settings(limits=Limits.model_validate(limits), routing=routing)
    kind = ResourceKind.EVENT_STREAM
    route = RouteSpec(resource_kind=kind, backend_type="memory", tenant_id="t", env="e", mode="lab")
    async with open_spine(root, settings=settings) as spine:
        await spine.routes.create(route)
        await spine.head("warm up", CONTEXT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_step)
            clock.autojump_threshold = THREADS_TAKE_S
            try:
                yield spine, state
            finally:
                clock.autojump_threshold = math.inf
                nursery.cancel_scope.cancel()


async def _step() -> None:
    while True:  # noqa: ASYNC110
        await trio.sleep(STEP_S)


def event(n: int = 0, event_id: str | None = None) -> dict[str, object]:
    stated: dict[str, object] = {"event_type": "t", "payload": {"n": n}}
    return stated if event_id is None else {"event_id": event_id, **stated}


async def outcome(spine: Spine, stream: str, n: int = 0) -> str:
    """The code of what became of an append; `stored` if it was."""
    try:
        await spine.append(stream, event(n), CONTEXT)
    except EventspineError as error:
        return error.code
    return "stored"


def store_of(spine: Spine) -> ChildTree:
    """The store of the backend, as the supervisor tree shows it."""
    backend = next(child for child in spine.tree().children if child.name == BACKEND)
    below = backend.below
    assert below is not None
    found: ChildTree = next(child for child in below.children if child.name == "store")
    return found
