"""What was verified survives a clean stop, and nothing else does."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from eventspine import Spine
from eventspine.contracts.errors import SwitchRefused
from eventspine.contracts.switch import SwitchState
from eventspine.services.switching import resting
from tests.inner import stride
from tests.simulation.lives import Kind, Lives
from tests.switching.conftest import (
    CONTEXT,
    FILES,
    KEY,
    MEMORY,
    OTHER_FILES,
    Opener,
    lead,
    level,
    verified,
)
from tests.switching.test_crashes import SETTINGS, leads_to_files
from tests.switching.test_following import event, moving_of

S = SwitchState
SWITCHES = "routing_registry_store/switches.json"


def kept(root: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((root / SWITCHES).read_text())["switches"][-1]
    return found


@pytest.mark.anyio
async def test_what_was_verified_is_verified_at_the_next_start(
    opener: Opener, tmp_path: Path
) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        for name in ("chat", "gone", "closed"):
            await spine.append(name, event(0), CONTEXT)
        await spine.close_stream("closed", CONTEXT)
        before = await verified(spine, OTHER_FILES)
        await spine.append("chat", event(1), CONTEXT)
        await spine.append("begun at last", event(1), CONTEXT)
        await spine.delete_stream("gone", CONTEXT)
    assert kept(tmp_path)["clean_stop"] is not None
    async with opener() as spine:
        found = spine.switches.get(KEY)
        assert (found.state, found.verification) == (S.VERIFIED, before.verification)
        assert found.progress.follows
        assert kept(tmp_path)["clean_stop"] is None, "a mark is of one stop"
        await spine.append("chat", event(2), CONTEXT)
        await spine.switches.switch(KEY)
        assert (await spine.head("chat", CONTEXT)).cursor.sequence == 3
        await spine.switches.verify(KEY)
        assert spine.switches.get(KEY).error is None


@pytest.mark.anyio
async def test_what_a_memory_followed_is_not(opener: Opener, tmp_path: Path) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append("chat", event(0), CONTEXT)
        await verified(spine, MEMORY)
    async with opener() as spine:
        found = await spine.switches.wait_level(KEY)
        assert (found.state, found.verification) == (S.DUAL_WRITING, None)
        with pytest.raises(SwitchRefused, match="dual_writing"):
            await spine.switches.switch(KEY)


@pytest.mark.anyio
async def test_what_was_only_level_leaves_no_mark(opener: Opener, tmp_path: Path) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await level(spine, OTHER_FILES)
    assert kept(tmp_path)["clean_stop"] is None


@pytest.mark.anyio
@pytest.mark.parametrize("side", [FILES, OTHER_FILES], ids=["source", "target"])
async def test_what_was_written_behind_its_back_voids_it(
    opener: Opener, tmp_path: Path, side: object
) -> None:
    """Another process has served one side, or somebody put a backup there."""
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append("chat", event(0), CONTEXT)
        await verified(spine, OTHER_FILES)
    mark = kept(tmp_path)
    (tmp_path / SWITCHES).write_text('{"switches": []}')
    async with opener() as spine:
        other = spine.routes.get(KEY)
        if side is OTHER_FILES:
            await lead(spine, OTHER_FILES)
        await spine.append("chat", event(1), CONTEXT)
        if side is OTHER_FILES:
            await lead(spine, FILES)
        revision = spine.routes.revision
        assert other.key == KEY
    mark["clean_stop"] = {**dict(mark["clean_stop"] or {}), "revision": revision}  # type: ignore[call-overload]
    (tmp_path / SWITCHES).write_text(json.dumps({"switches": [mark]}))
    async with opener() as spine:
        assert spine.switches.get(KEY).state is not S.VERIFIED


@pytest.mark.anyio
async def test_a_registry_that_was_changed_meanwhile_voids_it(
    opener: Opener, tmp_path: Path
) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append("chat", event(0), CONTEXT)
        await verified(spine, OTHER_FILES)
        revision = spine.routes.revision
    mark = kept(tmp_path)
    mark["clean_stop"] = {**dict(mark["clean_stop"] or {}), "revision": revision - 1}  # type: ignore[call-overload]
    (tmp_path / SWITCHES).write_text(json.dumps({"switches": [mark]}))
    async with opener() as spine:
        assert spine.switches.get(KEY).state is not S.VERIFIED


@pytest.mark.anyio
async def test_heads_that_take_too_long_are_worked_out_in_the_background(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append("chat", event(0), CONTEXT)
        await verified(spine, OTHER_FILES)
    monkeypatch.setattr(resting, "HEADS_S_MAX", 0.0)
    async with opener() as spine:
        found = await spine.switches.wait_level(KEY)
        assert found.state is S.DUAL_WRITING
        assert moving_of(spine).is_level


@pytest.mark.anyio
async def test_a_mark_that_cannot_be_kept_is_no_failure_of_the_stop(
    opener: Opener,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append("chat", event(0), CONTEXT)
        await verified(spine, OTHER_FILES)
        monkeypatch.setattr(spine.routes.switch_store, "save_switches", _full)
    assert "gets no mark: the disk is full" in caplog.text
    assert kept(tmp_path)["clean_stop"] is None


async def _full(switches: object) -> None:
    raise OSError("the disk is full")


# --- crashes ---


class Story:
    """A process that verifies and stops, and one that goes on; notes what was answered."""

    def __init__(self) -> None:
        self.answered = 0

    async def append(self, spine: Spine) -> None:
        n = self.answered
        named = {"event_type": "t", "event_id": f"e{n}", "payload": {}}
        await spine.append("chat", named, CONTEXT)
        self.answered = n + 1

    async def verify(self, spine: Spine) -> None:
        await self.append(spine)
        await verified(spine, OTHER_FILES)
        await self.append(spine)

    async def go_on(self, spine: Spine) -> None:
        assert spine.switches.get(KEY).state is S.VERIFIED
        for _ in range(3):
            await self.append(spine)

    async def judge(self, spine: Spine, where: str, may_be_verified: bool) -> None:
        found = spine.switches.get(KEY)
        if not found.is_open or found.state is S.PREPARED:
            return
        assert found.state is not S.VERIFIED or may_be_verified, where
        if found.state is S.VERIFIED:
            await spine.switches.switch(KEY)
        else:
            await spine.switches.copy(KEY)
            await spine.switches.wait_level(KEY)
        verification = (await spine.switches.verify(KEY)).verification
        assert verification is not None
        assert verification.difference is None, where
        lines = (await spine.list_after("chat", None, CONTEXT)).lines
        ids = [json.loads(line)["event_id"] for line in lines]
        assert ids[: self.answered] == [f"e{n}" for n in range(self.answered)], where
        assert len(ids) <= self.answered + 1, where


LIVES = Lives(SETTINGS, leads_to_files)
NEVER = 10**9


@pytest.mark.parametrize("kind", ["process", "power"])
def test_a_crash_at_any_disk_operation_of_a_stop_leaves_a_mark_or_none(kind: Kind) -> None:
    story = Story()
    begin, end = LIVES.operations(story.verify)
    assert end - begin > 40, "there is something to crash in"
    crashes = verified_after = 0
    for at in range(begin + (end - begin) // 2, end + 1, 3 * stride(3)):
        story, where = Story(), f"{kind} at operation {at}, seed {at}"
        disk, came = LIVES.crash(at, kind, story.verify)
        crashes += came

        async def judge(spine: Spine, story: Story = story, where: str = where) -> None:
            nonlocal verified_after
            switches = spine.switches.list()
            verified_after += any(one.state is S.VERIFIED for one in switches)
            if switches:
                await story.judge(spine, where, may_be_verified=True)

        LIVES.live(disk, judge, at)
    assert crashes * stride(3) > 5, "the crashes came"
    assert verified_after, "some after the mark"


@pytest.mark.parametrize("kind", ["process", "power"])
def test_a_crash_of_the_process_after_it_leaves_nothing_verified(kind: Kind) -> None:
    """The mark is gone before anything is written, whenever the crash comes."""
    whole = Story()
    disk = LIVES.crash(NEVER, kind, whole.verify).disk
    begin = disk.operations
    LIVES.live(disk, whole.go_on)
    assert disk.operations - begin > 20, "there is something to crash in"
    crashes = 0
    for at in range(begin + 1, disk.operations + 1, 3 * stride(3)):
        story, where = Story(), f"{kind} at operation {at} of both lives, seed {at}"
        second = LIVES.crash(NEVER, kind, story.verify).disk
        second.crash_at = at
        LIVES.live(second, story.go_on, at)
        crashes += second.is_down
        second.crash(kind)
        stopped = story.answered in (2, 5)  # before it wrote anything, or when it had ended
        LIVES.live(second, partial(story.judge, where=where, may_be_verified=stopped), at)
    assert crashes * stride(3) > 5, "the crashes came"
