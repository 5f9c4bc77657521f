"""An hour of silence, on trio's own clock: it passes as soon as nothing else can run.

The clock stands while a backend is opened or closed: that happens on threads, which it cannot see.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import eventspine
from eventspine import RequestContext, Settings, Spine
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import LabSettings

CONTEXT = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
LAB = LabSettings()
HOUR_S = 3600


@asynccontextmanager
async def quiet_spine(root: Path, clock: MockClock, limits: Limits) -> AsyncIterator[Spine]:
    """A spine in memory; inside, time jumps."""
    clock.autojump_threshold = math.inf
    settings = Settings(lab=LAB, limits=limits)
    async with eventspine.open(root, lab=True, settings=settings) as spine:
        kind = ResourceKind.EVENT_STREAM
        memory = RouteSpec(resource_kind=kind, backend_type="memory", **LAB.model_dump())
        await spine.routes.update(memory)
        await spine.head("s", CONTEXT)
        clock.autojump_threshold = 0
        yield spine
        clock.autojump_threshold = math.inf


@pytest.mark.trio
async def test_a_quiet_reader_hears_every_heartbeat_for_an_hour(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with (
        quiet_spine(tmp_path, autojump_clock, Limits(heartbeat_s=10)) as spine,
        await spine.subscribe("s", CONTEXT) as reader,
    ):
        began, beats = trio.current_time(), 0
        while trio.current_time() < began + HOUR_S:
            assert await reader.next() is None
            beats += 1
    assert HOUR_S / 10 - 1 <= beats <= HOUR_S / 10 + 1


@pytest.mark.trio
async def test_a_long_poll_waits_as_long_as_it_was_told_and_no_longer(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with quiet_spine(tmp_path, autojump_clock, Limits(long_poll_s_max=600)) as spine:
        began = trio.current_time()
        page = await spine.list_after("s", None, CONTEXT, wait_s=400)
        assert not page.lines
        assert 400 <= trio.current_time() - began < 401
        page = await spine.list_after("s", None, CONTEXT, wait_s=10_000)
        assert trio.current_time() - began < 1002
