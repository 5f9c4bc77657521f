"""One backend of one tenant is down: every kind says so at once, and nobody else notices."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from eventspine.bootstrap import KINDS
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import BackendError
from eventspine.contracts.route import RouteSpec
from eventspine.services.spine import Spine
from tests.supervision.breakable import breakable, event

SICK = RequestContext(tenant_id="t_sick", env="e", mode="lab")
WELL = RequestContext(tenant_id="t_well", env="e", mode="lab")
Deed = Callable[[Spine, RequestContext, str], Awaitable[object]]


async def _analytics(spine: Spine, context: RequestContext, name: str) -> object:
    return await spine.analytics(context).ingest([{"event": "seen", "event_id": name}])


async def _vectors(spine: Spine, context: RequestContext, name: str) -> object:
    await spine.vectors(context).create_collection("notes", 2)
    return await spine.vectors(context).upsert("notes", name, [1.0, 0.0])


DEEDS: dict[str, Deed] = {
    "event_stream": lambda spine, who, name: spine.append(name, event(), who),
    "tabular_store": lambda spine, who, name: spine.tables(who).upsert("rows", name, 1),
    "memory_store": lambda spine, who, name: spine.memory(who).set(name, 1),
    "budget_store": lambda spine, who, name: spine.budget(who).record(name, "acme", 1),
    "metrics_store": lambda spine, who, name: spine.metrics_store(who).ingest(name, 1),
    "object_store": lambda spine, who, name: spine.objects(who).put_object(name, b"bytes"),
    "vector_store": _vectors,
    "analytics_store": _analytics,
}


@pytest.mark.trio
async def test_every_kind_of_every_other_tenant_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    assert set(DEEDS) == {kind.value for kind in KINDS}, "a new kind needs its deed here"
    async with breakable(tmp_path, monkeypatch, autojump_clock) as (spine, state):
        for kind in KINDS:
            for who, backend in ((SICK, "memory"), (WELL, "filesystem")):
                await spine.routes.create(
                    RouteSpec(
                        resource_kind=kind,
                        tenant_id=who.tenant_id,
                        env="e",
                        mode="lab",
                        backend_type=backend,
                    )
                )
        for deed in DEEDS.values():
            await deed(spine, SICK, "before")
            await deed(spine, WELL, "before")
        state.down = OSError(errno.EIO, "the disk is gone")
        for name, deed in DEEDS.items():
            with pytest.raises(BackendError):
                await deed(spine, SICK, "during")
            began = trio.current_time()
            await deed(spine, WELL, "during")
            assert trio.current_time() - began < 1.0, f"{name} waited for somebody else's disk"
        assert not spine.ready()["checks"]["memory:default"]["ok"]
        state.down = None
        for deed in DEEDS.values():
            with trio.fail_after(60):
                while True:
                    try:
                        await deed(spine, SICK, "after")
                        break
                    except BackendError:
                        await trio.sleep(0.5)
