"""A crash at any disk operation of a whole switch loses nothing, and every step goes on.

The whole product on a simulated disk; each life ends at another operation, by a kill or a power
cut. The next life looks: what was acknowledged is there once and in order, the route leads where
the switch says, and the switch can be brought to its end from wherever it was.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, cast

import pytest
import trio

from eventspine.adapters.filesystem.disk import Disk
from eventspine.bootstrap import open_spine
from eventspine.contracts.errors import EventspineError, SwitchNotFound
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import AuditSettings, Settings, StorageSettings
from eventspine.contracts.switch import Place, SwitchState
from eventspine.services.spine import Spine
from eventspine.testing.simulated_disk import Crashed, SimulatedDisk
from eventspine.testing.simulated_threads import SimulatedThreads
from tests.switching.conftest import CONTEXT, FILES, KEY, LAB, OTHER_FILES

ROOT = Path("/simulated/root")
SETTINGS = Settings(
    lab=LAB,
    audit=AuditSettings(lookups=False),
    storage=StorageSettings(log_segment_bytes=64 * 1024),
)
S = SwitchState


class Story:
    """A switch there and back, with events between the steps. Notes what was answered."""

    def __init__(self) -> None:
        self.answered: dict[str, list[str]] = {"chat": [], "canvas": [], "new": []}
        self.begun = False

    async def append(self, spine: Spine, stream: str, count: int = 1) -> None:
        known = self.answered[stream]
        ids = [f"{stream}-{len(known) + n}" for n in range(count)]
        events = [{"event_type": "t", "event_id": id, "payload": {"id": id}} for id in ids]
        await spine.append_batch(stream, events, CONTEXT)
        known += ids

    async def run(self, spine: Spine) -> None:
        switches = spine.switches
        await self.append(spine, "canvas", 3)
        await spine.delete_stream("canvas", CONTEXT)
        self.answered["canvas"] = []
        self.begun = True
        await self.append(spine, "chat", 3)
        await self.append(spine, "canvas", 2)
        await switches.start(KEY, OTHER_FILES)
        await switches.copy(KEY)
        await switches.wait_level(KEY)
        await self.append(spine, "chat")
        await switches.verify(KEY)
        await self.append(spine, "new")
        await switches.switch(KEY)
        await self.append(spine, "chat")
        await self.append(spine, "new")
        await switches.reverse(KEY)
        await self.append(spine, "chat")
        await switches.finish(KEY)
        await self.append(spine, "canvas")

    async def judge(self, spine: Spine, where: str) -> None:
        await self.look(spine, where)
        try:
            switch = spine.switches.get(KEY)
        except SwitchNotFound:
            return
        assert Place.of(spine.routes.get(KEY)) == switch.primary, f"{where}: {switch.state}"
        if switch.state is S.FINISHED:
            return
        assert switch.error is None, f"{where}: {switch.error}"
        await spine.switches.copy(KEY)
        await spine.switches.wait_level(KEY)
        await self.append(spine, "new", 2)
        found = await spine.switches.verify(KEY)
        assert found.verification is not None
        assert found.verification.difference is None, f"{where}: {found.error}"
        if found.state is S.SWITCHED:
            await spine.switches.reverse(KEY)
        else:
            await spine.switches.switch(KEY)
        await self.look(spine, where)
        await self.append(spine, "chat")
        await spine.switches.finish(KEY)
        await self.look(spine, where)

    async def look(self, spine: Spine, where: str) -> None:
        """What was answered is there, once and in order; what was not may be there behind it."""
        for stream, known in self.answered.items():
            lines = (await spine.list_after(stream, None, CONTEXT)).lines
            ids = [json.loads(line)["event_id"] for line in lines]
            if not self.begun:
                continue
            assert ids[: len(known)] == known, f"{where}: {stream}"
            assert len(set(ids)) == len(ids) <= len(known) + 3, f"{where}: {stream}"
            self.answered[stream] = ids


async def life(disk: SimulatedDisk, seed: int, work: Callable[[Spine], Awaitable[None]]) -> None:
    """One process, to the end of its work or of the machine."""
    with trio.CancelScope() as process:

        def look() -> None:
            if disk.is_down:
                process.cancel()

        try:
            async with SimulatedThreads(random.Random(seed), look, pauses=0.0) as threads:
                simulated = cast(Disk, disk)
                async with open_spine(
                    ROOT, settings=SETTINGS, disk=simulated, threads=threads
                ) as spine:
                    if not spine.routes.list():
                        kind = ResourceKind.EVENT_STREAM
                        await spine.routes.create(
                            RouteSpec(resource_kind=kind, **LAB.model_dump(), **FILES.model_dump())
                        )
                    await work(spine)
        except* Crashed:
            assert disk.is_down
        except* (OSError, EventspineError):
            if not disk.is_down:
                raise


def operations_of_a_story() -> tuple[int, int]:
    """The operations at which it begins, and ends."""
    disk, begin = SimulatedDisk(ROOT, 0), 0

    async def story(spine: Spine) -> None:
        nonlocal begin
        begin = disk.operations
        await Story().run(spine)

    trio.run(life, disk, 0, story)
    return begin, disk.operations


PARTS = 8


def crash_in(part: int, kinds: Sequence[Literal["process", "power"]]) -> None:
    """Crash in every operation of a part of the story, by one of the kinds in turn."""
    begin, end = operations_of_a_story()
    assert end - begin > 100, "there is something to crash in"
    crashes = 0
    for crash_at in range(begin + 1 + part, end + 1, PARTS):
        kind = kinds[crash_at // PARTS % len(kinds)]
        where = f"{kind} at operation {crash_at}, seed {crash_at}"
        disk, story = SimulatedDisk(ROOT, crash_at), Story()
        disk.crash_at = crash_at
        trio.run(life, disk, crash_at, story.run)
        crashes += disk.is_down
        disk.crash(kind)
        trio.run(life, disk, crash_at, partial(story.judge, where=where))
        trio.run(life, disk, crash_at, partial(story.look, where=where))
    assert crashes > 100 // PARTS, "the crashes came"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_crash_at_any_disk_operation_of_a_switch_loses_nothing(part: int) -> None:
    crash_in(part, ["process", "power"])


@pytest.mark.torture
@pytest.mark.parametrize("part", range(PARTS))
def test_nor_does_the_other_kind_of_crash(part: int) -> None:
    crash_in(part, ["power", "process"])
