"""Lives of the whole product on a simulated disk: each ends with its work, or with the machine."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import trio

from eventspine.adapters.filesystem.disk import Disk
from eventspine.bootstrap import open_spine
from eventspine.contracts.errors import EventspineError
from eventspine.contracts.settings import Settings
from eventspine.services.spine import Spine
from eventspine.testing.simulated_disk import Crashed, SimulatedDisk
from eventspine.testing.simulated_threads import SimulatedThreads

ROOT = Path("/simulated/root")


async def life(
    disk: SimulatedDisk,
    seed: int,
    settings: Settings,
    work: Callable[[Spine], Awaitable[None]],
) -> None:
    """One process, to the end of its work or of the machine."""
    with trio.CancelScope() as process:

        def look() -> None:
            if disk.is_down:
                process.cancel()

        try:
            async with SimulatedThreads(random.Random(seed), look, pauses=0.0) as threads:
                simulated = cast(Disk, disk)
                async with open_spine(
                    ROOT, settings=settings, disk=simulated, threads=threads
                ) as spine:
                    await work(spine)
        except* Crashed:
            assert disk.is_down
        except* (OSError, EventspineError):
            if not disk.is_down:
                raise
