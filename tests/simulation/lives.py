"""Lives of the whole product on a simulated disk: each ends with its work, or with the machine.

A test of crashes tells a story: a class whose `run` works with a spine and notes what was
answered, and whose `judge` looks in the next life. `Lives` has it run once to learn how many
operations of the disk that takes, and then again and again with a crash in another one of them.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, NamedTuple, cast

import trio

from eventspine.adapters.filesystem.disk import Disk
from eventspine.bootstrap import open_spine
from eventspine.contracts.errors import EventspineError
from eventspine.contracts.settings import Settings
from eventspine.services.spine import Spine
from eventspine.testing.simulated_disk import Crashed, SimulatedDisk
from eventspine.testing.simulated_threads import SimulatedThreads

ROOT = Path("/simulated/root")
Work = Callable[[Spine], Awaitable[None]]
Kind = Literal["process", "power"]


async def life(disk: SimulatedDisk, seed: int, settings: Settings, work: Work) -> None:
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


class Crash(NamedTuple):
    """The disk as the next life finds it. `came`: False if the work was done before."""

    disk: SimulatedDisk
    came: bool


class Lives:
    """Args: founded: what every life begins with: routes, where there are none."""

    def __init__(self, settings: Settings, founded: Work) -> None:
        self._settings = settings
        self._founded = founded

    def live(self, disk: SimulatedDisk, work: Work, seed: int = 0) -> None:
        """Raises what the work raises on a machine that is up."""

        async def founded_first(spine: Spine) -> None:
            await self._founded(spine)
            await work(spine)

        trio.run(life, disk, seed, self._settings, founded_first)

    def operations(self, work: Work) -> tuple[int, int]:
        """The operations of a new disk at which the work begins, and ends."""
        disk, begin = SimulatedDisk(ROOT, 0), 0

        async def noted(spine: Spine) -> None:
            nonlocal begin
            begin = disk.operations
            await work(spine)

        self.live(disk, noted)
        return begin, disk.operations

    def crash(self, at: int, kind: Kind, work: Work) -> Crash:
        """A life on a new disk, with the operation as its seed, that ends in the operation."""
        disk = SimulatedDisk(ROOT, at)
        disk.crash_at = at
        self.live(disk, work, at)
        came = disk.is_down
        disk.crash(kind)
        return Crash(disk, came)
