"""While both backends are written: order, durability, failures, streams that come and go."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from eventspine import Settings, Spine
from eventspine.bootstrap import open_spine
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import OutcomeUnknown, SwitchRefused
from eventspine.contracts.limits import Limits
from eventspine.contracts.settings import AuditSettings
from eventspine.contracts.stores import EventStreamStore, StreamHead
from eventspine.contracts.switch import SwitchState
from eventspine.services.switching.moving import Moving
from tests.actors.faulty import Faults, FaultyStore
from tests.switching.conftest import (
    CONTEXT,
    FILES,
    KEY,
    LAB,
    MEMORY,
    OTHER_FILES,
    Opener,
    lead,
    level,
    verified,
)

pytestmark = pytest.mark.anyio
S = SwitchState
CHAT = "event_stream/t_demo/dev/_/chat"


def event(n: int) -> dict[str, object]:
    return {"event_type": "t", "payload": {"n": n}}


def moving_of(spine: Spine) -> Moving:
    return spine.switches._driving.moving[spine.switches.get(KEY).id]


async def both(spine: Spine, key: str = CHAT) -> tuple[StreamHead, StreamHead]:
    moving = moving_of(spine)
    await moving.mirror.quiet()
    return (
        await moving.primary.open_store().head(key),
        await moving.follower.open_store().head(key),
    )


@asynccontextmanager
async def open_with_faults(
    root: Path, monkeypatch: pytest.MonkeyPatch, faults: Faults | None = None, **limits: float
) -> AsyncIterator[tuple[Spine, Faults]]:
    """Files, and a memory to move to whose commits can be held and failed."""
    faults = faults or Faults()
    monkeypatch.setattr("eventspine.bootstrap.backends.MemoryEventStreamStore", faults.store)
    settings = Settings(
        lab=LAB, limits=Limits.model_validate(limits), audit=AuditSettings(lookups=False)
    )
    async with open_spine(root, lab=True, settings=settings) as spine:
        await spine.append("chat", event(0), CONTEXT)
        yield spine, faults


async def test_an_append_is_answered_when_both_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_with_faults(tmp_path, monkeypatch) as (spine, faults):
        await level(spine, MEMORY)
        answered: list[int] = []
        told: list[bytes] = []

        async def append() -> None:
            await spine.append("chat", event(1), CONTEXT)
            answered.append(1)

        async with await spine.subscribe("chat", CONTEXT, "latest") as reader:

            async def read() -> None:
                told.extend((await reader.__anext__()).lines)

            faults.hold()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(append)
                tasks.start_soon(read)
                await faults.held()
                store = moving_of(spine).primary.open_store()
                assert (await store.head(CHAT)).sequence == 2, "it is durable at the source"
                assert not answered
                assert not told
                faults.release()
        assert answered == [1]
        assert len(told) == 1


async def test_the_source_is_the_truth_when_the_target_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_with_faults(tmp_path, monkeypatch) as (spine, faults):
        await verified(spine, MEMORY)
        faults.error = OSError("the target is gone")
        await spine.append("chat", event(1), CONTEXT)
        with anyio.fail_after(20):
            while spine.switches.get(KEY).state is S.VERIFIED:
                await spine.switches.wait(spine.switches.changes)
            found = await spine.switches.wait_level(KEY)
        assert found.state is S.DUAL_WRITING
        assert found.verification is None, "what was verified has to be verified again"
        await spine.append("chat", event(2), CONTEXT)
        here, there = await both(spine)
        assert here == there == StreamHead(1, 3, mode="lab")
        with pytest.raises(SwitchRefused, match="dual_writing"):
            await spine.switches.switch(KEY)
        await spine.switches.verify(KEY)
        await spine.switches.switch(KEY)
        assert (await spine.head("chat", CONTEXT)).cursor == Cursor(1, 3)


async def test_a_target_whose_outcome_is_unknown_gets_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_with_faults(tmp_path, monkeypatch) as (spine, faults):
        await level(spine, MEMORY)
        faults.error, faults.error_after_storing = OSError("stored, and not said"), True
        await spine.append("chat", event(1), CONTEXT)
        await spine.append("chat", event(2), CONTEXT)
        with anyio.fail_after(20):
            await spine.switches.wait_level(KEY)
        found = await spine.switches.verify(KEY)
        assert found.state is S.VERIFIED
        assert (await both(spine))[1].sequence == 3


@pytest.mark.parametrize("stored", [True, False])
async def test_a_source_that_fails_is_copied_from_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    async with open_with_faults(tmp_path, monkeypatch) as (spine, faults):
        await lead(spine, MEMORY)
        await spine.append("chat", event(0), CONTEXT)
        await level(spine, FILES)
        faults.error, faults.error_after_storing = OSError("the source is gone"), stored
        with pytest.raises(OutcomeUnknown):
            await spine.append("chat", event(1), CONTEXT)
        with anyio.fail_after(20):
            while spine.switches.get(KEY).state is S.DUAL_WRITING:
                await spine.switches.wait(spine.switches.changes)
            await spine.switches.wait_level(KEY)
        await spine.append("chat", event(2), CONTEXT)
        found = await spine.switches.verify(KEY)
        assert found.state is S.VERIFIED, found.error
        here, there = await both(spine)
        assert here == there == StreamHead(1, 2 + stored, mode="lab")


async def test_a_switch_that_is_not_drained_in_time_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_with_faults(tmp_path, monkeypatch, switch_hold_s_max=0.2) as (spine, faults):
        await verified(spine, MEMORY)
        revision = spine.routes.revision
        faults.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(spine.append, "chat", event(1), CONTEXT)
            await faults.held()
            with pytest.raises(SwitchRefused, match=r"within 0.2 s \(switch_hold_s_max\)"):
                await spine.switches.switch(KEY)
            faults.release()
        assert spine.routes.revision == revision
        assert spine.switches.get(KEY).state is S.VERIFIED
        await spine.append("chat", event(2), CONTEXT)
        await spine.switches.switch(KEY)
        assert (await spine.head("chat", CONTEXT)).cursor.sequence == 3


class Mortal(Faults):
    """A memory that cannot be opened again while it is down."""

    down = False

    def store(self) -> FaultyStore:
        if self.down:
            raise OSError("nothing is there any more")
        return super().store()


async def test_the_way_back_is_open_while_the_new_backend_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mortal = Mortal()
    async with open_with_faults(tmp_path, monkeypatch, mortal) as (spine, faults):
        await verified(spine, MEMORY)
        await spine.switches.switch(KEY)
        await spine.append("chat", event(1), CONTEXT)
        mortal.down, faults.error = True, OSError("it is gone")
        with pytest.raises(OutcomeUnknown):
            await spine.append("chat", event(2), CONTEXT)
        primary = moving_of(spine).primary
        with anyio.fail_after(10):
            while primary.store is not None:
                await checkpoint()
        back = await spine.switches.reverse(KEY)
        assert back.state is S.REVERSED
        assert (await spine.head("chat", CONTEXT)).cursor == Cursor(1, 2), "what was answered"
        await spine.append("chat", event(3), CONTEXT)
        await spine.switches.finish(KEY)
        assert (await spine.head("chat", CONTEXT)).cursor == Cursor(1, 3)


async def test_streams_that_begin_while_both_are_written(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await verified(spine, MEMORY)
        for n in range(20):
            await spine.append(f"new {n}", event(n), CONTEXT)
        assert spine.switches.get(KEY).state is S.VERIFIED
        await spine.switches.switch(KEY)
        for n in range(20):
            lines = (await spine.list_after(f"new {n}", None, CONTEXT)).lines
            assert [json.loads(line)["payload"]["n"] for line in lines] == [n]


class SlowReads:
    """Lets something happen between two pieces of a copy."""

    def __init__(self, store: EventStreamStore, at: int) -> None:
        self.reached, self.go_on = anyio.Event(), anyio.Event()
        self._read, self._at = store.read, at

    async def read(self, key: str, first: int, count: int, bytes_max: int) -> object:
        if key == CHAT and first >= self._at and not self.reached.is_set():
            self.reached.set()
            await self.go_on.wait()
        return await self._read(key, first, count, bytes_max)


@pytest.mark.parametrize("again", [0, 1, 5000])
async def test_a_stream_that_is_deleted_while_it_is_copied(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, again: int
) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        text = {"event_type": "t", "payload": {"text": "x" * 300}}
        for _ in range(5):
            await spine.append_batch("chat", [text] * 1000, CONTEXT)
        binding = await spine._bindings.of(CONTEXT.scope)
        store = binding.host.open_store()
        slow = SlowReads(store, 500)
        monkeypatch.setattr(store, "read", slow.read)
        await spine.switches.start(KEY, OTHER_FILES)
        await spine.switches.copy(KEY)
        await slow.reached.wait()
        await spine.delete_stream("chat", CONTEXT)
        if again:
            await spine.append_batch("chat", [event(n) for n in range(again)], CONTEXT)
        slow.go_on.set()
        await spine.switches.wait_level(KEY)
        found = await spine.switches.verify(KEY)
        assert found.state is S.VERIFIED, found.error
        here, there = await both(spine)
        assert here == there == StreamHead(2, again, mode="lab" if again else None)
        await spine.switches.switch(KEY)
        assert (await spine.head("chat", CONTEXT)).cursor == Cursor(2, again)


async def test_a_busy_stream_is_followed_at_last(opener: Opener) -> None:
    """Something is always under way on it, and still it is level."""
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append_batch("chat", [event(n) for n in range(5000)], CONTEXT)
        wrote = 0
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                nonlocal wrote
                while True:
                    await spine.append("chat", event(wrote), CONTEXT)
                    wrote += 1

            for _ in range(20):
                tasks.start_soon(write)
            await verified(spine, OTHER_FILES)
            await spine.switches.switch(KEY)
            tasks.cancel_scope.cancel()
        assert wrote > 20
        with anyio.CancelScope():
            page = await spine.list_after("chat", "latest", CONTEXT)
            assert page.head.sequence >= 5000 + wrote


async def test_a_switch_that_was_cancelled_leaves_no_trace_in_the_path_of_an_append(
    opener: Opener,
) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append("chat", event(0), CONTEXT)
        await level(spine, OTHER_FILES)
        moving = moving_of(spine)
        await spine.switches.cancel(KEY)
        assert moving.primary.mirrors == ()
        await spine.append("chat", event(1), CONTEXT)
        assert (await moving.follower.open_store().head(CHAT)).sequence == 1
        await verified(spine, OTHER_FILES)
        assert (await both(spine))[1].sequence == 2
