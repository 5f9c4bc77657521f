"""Operations that were at the old backend when the route moved land at the new one, once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from eventspine import Spine
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import CursorGone
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.stores import EventIds, EventStreamStore, StreamHead
from eventspine.contracts.switch import SwitchState
from tests.switching.conftest import (
    CONTEXT,
    FILES,
    KEY,
    OTHER_FILES,
    Opener,
    key_of,
    lead,
    verified,
)

pytestmark = pytest.mark.anyio
Work = Callable[[Spine], Coroutine[Any, Any, object]]


def event(n: int, event_id: str | None = None) -> dict[str, object]:
    stated: dict[str, object] = {"event_type": "t", "payload": {"n": n}}
    return stated if event_id is None else {**stated, "event_id": event_id}


class Gate:
    """Holds whoever looks something up of one stream in one store."""

    def __init__(self, store: EventStreamStore) -> None:
        self.closed = False
        self.reached, self.opened = anyio.Event(), anyio.Event()
        self._ids, self._head = store.ids, store.head

    async def _pass(self) -> None:
        if self.closed:
            self.reached.set()
            await self.opened.wait()

    async def ids(self, key: str) -> EventIds:
        if key.endswith("/late"):
            await self._pass()
        return await self._ids(key)

    async def head(self, key: str) -> StreamHead:
        found = await self._head(key)
        if key.endswith("/late"):
            await self._pass()
        return found


async def late(
    opener: Opener,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Work,
    work: Work,
    judge: Work,
    kind: ResourceKind = ResourceKind.EVENT_STREAM,
) -> None:
    """Run `work` into the gate, switch, and open the gate."""
    key = key_of(kind)
    async with opener() as spine:
        await lead(spine, FILES, kind)
        await prepare(spine)
        await verified(spine, OTHER_FILES, key)
        store = next(h for h in spine._hosts if h.name == "filesystem:files").open_store()
        gate = Gate(store)
        monkeypatch.setattr(store, "ids", gate.ids)
        monkeypatch.setattr(store, "head", gate.head)
        async with anyio.create_task_group() as tasks:
            gate.closed = True
            tasks.start_soon(work, spine)
            await gate.reached.wait()
            gate.closed = False
            switched = await spine.switches.switch(key)
            assert switched.state is SwitchState.SWITCHED
            gate.opened.set()
        await judge(spine)
        await spine.switches.verify(key)
        assert spine.switches.get(key).error is None


async def test_an_append_that_looks_an_id_up(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def prepare(spine: Spine) -> None:
        await spine.append("late", event(1), CONTEXT)

    async def work(spine: Spine) -> None:
        await spine.append("late", event(2, "mine"), CONTEXT)

    async def judge(spine: Spine) -> None:
        assert (await spine.head("late", CONTEXT)).cursor == Cursor(1, 2)
        again = await spine.append("late", event(2, "mine"), CONTEXT)
        assert again.duplicates == 1

    await late(opener, monkeypatch, prepare, work, judge)


async def _append_late(spine: Spine) -> None:
    await spine.append("late", event(1), CONTEXT)


async def _nothing(spine: Spine) -> None:
    return None


async def test_the_first_append_of_a_stream(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def judge(spine: Spine) -> None:
        assert (await spine.head("late", CONTEXT)).cursor == Cursor(1, 1)

    await late(opener, monkeypatch, _nothing, _append_late, judge)


async def _asleep(spine: Spine) -> None:
    """The stream is there, and its owner is not."""
    await _append_late(spine)
    host = (await spine._bindings.of(CONTEXT.scope)).host
    host.directory.reset("event_stream/t_demo/dev/_/late", "it rests")


async def test_a_close(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(spine: Spine) -> None:
        await spine.close_stream("late", CONTEXT)

    async def judge(spine: Spine) -> None:
        assert (await spine.head("late", CONTEXT)).closed

    await late(opener, monkeypatch, _asleep, work, judge)


async def test_a_delete(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(spine: Spine) -> None:
        await spine.delete_stream("late", CONTEXT)

    async def judge(spine: Spine) -> None:
        assert (await spine.head("late", CONTEXT)).cursor == Cursor(2, 0)
        with pytest.raises(CursorGone):
            await spine.list_after("late", str(Cursor(1, 1)), CONTEXT)

    await late(opener, monkeypatch, _asleep, work, judge)


async def test_a_row_of_a_table(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(spine: Spine) -> None:
        await spine.tables(CONTEXT).upsert("late", "k", {"v": 1})

    async def judge(spine: Spine) -> None:
        assert await spine.tables(CONTEXT).get("late", "k") == {"v": 1}

    kind = ResourceKind.TABULAR_STORE
    await late(opener, monkeypatch, _nothing, work, judge, kind)


async def test_a_reader_that_comes_late(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """It joins an owner at the old backend, and hears what is written at the new one."""
    got: list[bytes] = []
    ready = anyio.Event()

    async def work(spine: Spine) -> None:
        async with await spine.subscribe("late", CONTEXT) as reader:
            ready.set()
            async for piece in reader:
                got.extend(piece.lines)
                if len(got) == 2:
                    return

    async def both(spine: Spine) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, spine)
            await ready.wait()
            await _append_late(spine)

    async def judge(spine: Spine) -> None:
        assert len(got) == 2

    await late(opener, monkeypatch, _asleep, both, judge)


async def test_a_late_page_is_of_what_there_was_or_is(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await _append_late(spine)
        await verified(spine, OTHER_FILES)
        pages: list[int] = []

        async def wait() -> None:
            page = await spine.list_after("late", "latest", CONTEXT, wait_s=5)
            pages.append(len(page.lines))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await spine.switches.switch(KEY)
        assert pages == [0], "a long-poll is let go, and asks at the new backend"
