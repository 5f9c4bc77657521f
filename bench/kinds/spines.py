"""A spine in this process, and how much memory using it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import uvloop

import eventspine
from bench.process import rss_of
from eventspine import RequestContext, Spine
from eventspine.contracts.limits import Limits
from eventspine.contracts.settings import Settings

WORKERS = 64
CONTEXT = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
T = TypeVar("T")


@asynccontextmanager
async def opened(folder: Path, limits: Limits | None = None) -> AsyncIterator[Spine]:
    settings = None if limits is None else Settings(limits=limits)
    async with eventspine.open(folder / "root", lab=True, settings=settings) as spine:
        yield spine


def on_spine(
    folder: Path, work: Callable[[Spine], Awaitable[T]], limits: Limits | None = None
) -> T:
    """`work` with the spine of a folder, on uvloop."""

    async def run() -> T:
        async with opened(folder, limits) as spine:
            return await work(spine)

    return uvloop.run(run())


class Growth:
    """Resident memory from here on."""

    def __init__(self) -> None:
        self._before = rss_of("self")

    @property
    def mb(self) -> float:
        return (rss_of("self") - self._before) / 1e6
