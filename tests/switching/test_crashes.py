"""A crash at any disk operation of a whole switch loses nothing, and every step goes on.

The whole product on a simulated disk; each life ends at another operation, by a kill or a power
cut. The next life looks: what was acknowledged is there once and in order, the route leads where
the switch says, and the switch can be brought to its end from wherever it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

import pytest

from eventspine.contracts.errors import SwitchNotFound
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import AuditSettings, Settings, StorageSettings
from eventspine.contracts.switch import Place, SwitchState
from eventspine.services.spine import Spine
from tests.simulation.lives import Kind, Lives
from tests.switching.conftest import CONTEXT, FILES, KEY, LAB, OTHER_FILES

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


async def leads_to_files(spine: Spine) -> None:
    if not spine.routes.list():
        kind = ResourceKind.EVENT_STREAM
        await spine.routes.create(
            RouteSpec(resource_kind=kind, **LAB.model_dump(), **FILES.model_dump())
        )


LIVES = Lives(SETTINGS, leads_to_files)
PARTS = 8


def crash_in(part: int, kinds: Sequence[Kind]) -> None:
    """Crash in every operation of a part of the story, by one of the kinds in turn."""
    begin, end = LIVES.operations(Story().run)
    assert end - begin > 100, "there is something to crash in"
    crashes = 0
    for crash_at in range(begin + 1 + part, end + 1, PARTS):
        kind = kinds[crash_at // PARTS % len(kinds)]
        where = f"{kind} at operation {crash_at}, seed {crash_at}"
        story = Story()
        disk, came = LIVES.crash(crash_at, kind, story.run)
        crashes += came
        LIVES.live(disk, partial(story.judge, where=where), crash_at)
        LIVES.live(disk, partial(story.look, where=where), crash_at)
    assert crashes > 100 // PARTS, "the crashes came"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_crash_at_any_disk_operation_of_a_switch_loses_nothing(part: int) -> None:
    crash_in(part, ["process", "power"])


@pytest.mark.torture
@pytest.mark.parametrize("part", range(PARTS))
def test_nor_does_the_other_kind_of_crash(part: int) -> None:
    crash_in(part, ["power", "process"])
