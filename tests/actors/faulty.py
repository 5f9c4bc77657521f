"""A spine over memory whose commits can be held, refused and failed."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from eventspine.adapters.memory.event_stream import MemoryEventStreamStore
from eventspine.bootstrap import open_spine
from eventspine.contracts.context import RequestContext
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import AuditSettings, Settings
from eventspine.contracts.stores import EventIds, StreamCommit, StreamHead
from eventspine.services.spine import Spine

CONTEXT = RequestContext(tenant_id="t", env="e", mode="lab")
WAIT_S = 60.0


def event(n: object = 0, event_id: str | None = None, **more: Any) -> dict[str, Any]:
    stated = {"event_type": "t", "payload": {"n": n}, **more}
    return stated if event_id is None else {**stated, "event_id": event_id}


class Faults:
    """What the next commits do. The bytes are in `memory`, and stay when a store is reopened."""

    def __init__(self) -> None:
        self.memory = MemoryEventStreamStore()
        self.opened = 0
        self.batches: list[list[StreamCommit]] = []
        self.error: BaseException | None = None
        self.error_after_storing = False
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.ids_gate: anyio.Event | None = None

    def store(self) -> FaultyStore:
        self.opened += 1
        return FaultyStore(self)

    def hold(self) -> None:
        """The next commit waits until `release`."""
        self.entered.clear()
        self.gate.clear()

    async def held(self) -> None:
        assert await anyio.to_thread.run_sync(self.entered.wait, WAIT_S)

    def release(self) -> None:
        self.gate.set()


class FaultyStore(MemoryEventStreamStore):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def commit(self, batch: Sequence[StreamCommit]) -> None:
        faults = self._faults
        faults.entered.set()
        assert faults.gate.wait(WAIT_S)
        error, faults.error = faults.error, None
        if error is None or faults.error_after_storing:
            faults.batches.append(list(batch))
            faults.memory.commit(batch)
        if error is not None:
            raise error

    async def head(self, key: str) -> StreamHead:
        return await self._faults.memory.head(key)

    def read_nowait(self, key: str, first: int, count: int, bytes_max: int) -> list[bytes]:
        return self._faults.memory.read_nowait(key, first, count, bytes_max)

    async def keys(self, prefix: str) -> list[str]:
        return await self._faults.memory.keys(prefix)

    async def ids(self, key: str) -> EventIds:
        if self._faults.ids_gate is not None:
            await self._faults.ids_gate.wait()
        return await self._faults.memory.ids(key)


def memory_route(context: RequestContext = CONTEXT, **more: Any) -> RouteSpec:
    return RouteSpec(
        resource_kind=ResourceKind.EVENT_STREAM,
        tenant_id=context.tenant_id,
        env=context.env,
        mode=context.mode,
        project_id=context.project_id,
        **{"backend_type": "memory", **more},
    )


@asynccontextmanager
async def open_faulty(
    root: Path, monkeypatch: pytest.MonkeyPatch, **limits: Any
) -> AsyncIterator[tuple[Spine, Faults]]:
    faults = Faults()
    monkeypatch.setattr("eventspine.bootstrap.backends.MemoryEventStreamStore", faults.store)
    audit = AuditSettings(lookups=False)  # commits are counted here
    settings = Settings(limits=Limits(**limits), audit=audit)
    async with open_spine(root, settings=settings) as spine:
        await spine.routes.create(memory_route())
        await spine.head("warm up", CONTEXT)
        await spine.audit.queue.settled()
        faults.batches.clear()  # the route is in the audit
        yield spine, faults


def numbers(lines: Sequence[bytes]) -> list[int]:
    import json

    return [json.loads(line)["payload"]["n"] for line in lines]


async def everything(spine: Spine, stream: str, context: RequestContext = CONTEXT) -> list[bytes]:
    lines: list[bytes] = []
    after: str | None = None
    while True:
        page = await spine.list_after(stream, after, context, limit=1000)
        lines += page.lines
        after = str(page.next)
        if not page.lines:
            return lines
