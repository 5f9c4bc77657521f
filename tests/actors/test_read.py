"""Pages and positions: everything exactly once, and never a silent start from elsewhere."""

from __future__ import annotations

import anyio
import pytest

from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import CursorGone, InvalidCursor, InvalidRequest
from tests.actors.faulty import CONTEXT, event, everything, numbers

pytestmark = pytest.mark.anyio


async def fill(spine, count: int, stream: str = "s") -> None:
    await spine.append_batch(stream, [event(n) for n in range(count)], CONTEXT)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 11, 1000])
async def test_pages_forwards_and_backwards_cover_everything_once(spine, limit) -> None:
    await fill(spine, 10)
    seen: list[int] = []
    after = None
    while True:
        page = await spine.list_after("s", after, CONTEXT, limit=limit)
        assert len(page.lines) <= limit
        if not page.lines:
            break
        assert page.first == len(seen) + 1
        seen += numbers(page.lines)
        after = str(page.next)
    assert seen == list(range(10))
    back: list[int] = []
    before = "latest"
    while True:
        page = await spine.list_after("s", None, CONTEXT, before=before, limit=limit)
        if not page.lines:
            break
        back = numbers(page.lines) + back
        before = str(Cursor(1, page.first))
    assert back == list(range(10))


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_a_page_between_two_positions(spine, limit) -> None:
    await fill(spine, 10)
    page = await spine.list_after(
        "s", str(Cursor(1, 2)), CONTEXT, before=str(Cursor(1, 8)), limit=limit
    )
    assert numbers(page.lines) == [2, 3, 4, 5, 6][-limit:]
    empty = await spine.list_after("s", str(Cursor(1, 8)), CONTEXT, before=str(Cursor(1, 2)))
    assert list(empty.lines) == []


async def test_pages_are_bounded_by_bytes_and_give_one_event_at_least(faulty) -> None:
    async with faulty(page_bytes_max=1024) as (spine, _):
        await spine.append_batch("s", [event("x" * 400) for _ in range(7)], CONTEXT)
        await spine.append("s", event("y" * 5000), CONTEXT)
        page = await spine.list_after("s", None, CONTEXT)
        assert 1 <= len(page.lines) < 7
        page = await spine.list_after("s", str(Cursor(1, 7)), CONTEXT)
        assert len(page.lines) == 1
        assert len(await everything(spine, "s")) == 8
        assert len((await spine.list_after("s", None, CONTEXT, before="latest")).lines) == 1


async def test_a_page_backwards_is_bounded_by_bytes_and_ends_where_it_was_asked_to(faulty) -> None:
    async with faulty(page_bytes_max=2048) as (spine, _):
        await spine.append_batch("s", [event("x" * 400) for _ in range(9)], CONTEXT)
        seen: list[int] = []
        before = "latest"
        while True:
            page = await spine.list_after("s", None, CONTEXT, before=before)
            if not page.lines:
                break
            assert 1 <= len(page.lines) <= 3
            assert page.next.sequence == (seen[0] - 1 if seen else 9)
            seen = [*range(page.first, page.first + len(page.lines)), *seen]
            before = str(Cursor(1, page.first))
        assert seen == list(range(1, 10))


async def test_an_event_id_is_a_position(spine) -> None:
    stored = await spine.append_batch("s", [event(n, f"id {n}") for n in range(4)], CONTEXT)
    made = await spine.append("s", event(4), CONTEXT)
    await spine.append("s", event(5), CONTEXT)
    assert numbers((await spine.list_after("s", "id 1", CONTEXT)).lines) == [2, 3, 4, 5]
    assert numbers((await spine.list_after("s", made.event_id, CONTEXT)).lines) == [5]
    before = await spine.list_after("s", None, CONTEXT, before="id 1")
    assert numbers(before.lines) == [0]
    assert stored.event_id == "id 3"


@pytest.mark.parametrize(
    "position",
    [
        str(Cursor(2, 1)),
        str(Cursor(1, 5)),
        str(Cursor(9, 0)),
        "never stored",
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "01890a5d-ac96-774b-8000-000000400000",
    ],
)
async def test_a_position_that_is_not_in_the_stream_is_said_to_be_gone(spine, position) -> None:
    await fill(spine, 4)
    with pytest.raises(CursorGone) as caught:
        await spine.list_after("s", position, CONTEXT)
    assert caught.value.fields == {
        "requested": position,
        "earliest": str(Cursor(1, 0)),
        "latest": str(Cursor(1, 4)),
    }
    with pytest.raises(CursorGone):
        await spine.subscribe("s", CONTEXT, position)
    with pytest.raises(CursorGone):
        await spine.list_after("s", None, CONTEXT, before=position)


async def test_the_cursors_of_a_deleted_stream_are_gone_for_ever(spine) -> None:
    await fill(spine, 4)
    await spine.delete_stream("s", CONTEXT)
    await fill(spine, 6)
    for sequence in range(5):
        with pytest.raises(CursorGone):
            await spine.list_after("s", str(Cursor(1, sequence)), CONTEXT)


@pytest.mark.parametrize("position", ["", "x" * 256, "é" * 128])
async def test_what_cannot_be_a_position_is_refused(spine, position) -> None:
    with pytest.raises(InvalidCursor):
        await spine.list_after("s", position, CONTEXT)


async def test_a_limit_below_one_is_refused_and_above_the_maximum_lowered(faulty) -> None:
    async with faulty(page_events_max=3) as (spine, _):
        await fill(spine, 5)
        with pytest.raises(InvalidRequest):
            await spine.list_after("s", None, CONTEXT, limit=0)
        assert len((await spine.list_after("s", None, CONTEXT, limit=1000)).lines) == 3


async def test_a_stream_nobody_wrote_to_is_empty(spine) -> None:
    page = await spine.list_after("nothing", None, CONTEXT)
    assert (list(page.lines), page.next, page.closed) == ([], Cursor(1, 0), False)
    assert (await spine.head("nothing", CONTEXT)).cursor == Cursor(1, 0)


async def test_a_long_poll_answers_the_first_event(spine) -> None:
    got = []

    async def poll() -> None:
        got.append(await spine.list_after("s", "latest", CONTEXT, wait_s=10))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(poll)
            await anyio.wait_all_tasks_blocked()
            await spine.append("s", event(1), CONTEXT)
    assert numbers(got[0].lines) == [1]
    assert spine._hosts[0].long_polls == 0


@pytest.mark.parametrize("end", ["close", "delete"])
async def test_a_long_poll_ends_with_its_stream(spine, end) -> None:
    await fill(spine, 2)
    got = []

    async def poll() -> None:
        try:
            got.append(await spine.list_after("s", "latest", CONTEXT, wait_s=10))
        except CursorGone as error:
            got.append(error)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(poll)
            await anyio.wait_all_tasks_blocked()
            if end == "close":
                await spine.close_stream("s", CONTEXT)
            else:
                await spine.delete_stream("s", CONTEXT)
    assert got[0].closed if end == "close" else isinstance(got[0], CursorGone)


async def test_readers_see_nothing_that_is_not_durable(faulty) -> None:
    async with faulty() as (spine, faults):
        await fill(spine, 2)
        faults.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(spine.append, "s", event(9), CONTEXT)
            await faults.held()
            page = await spine.list_after("s", None, CONTEXT)
            assert numbers(page.lines) == [0, 1]
            assert page.head == Cursor(1, 2)
            assert (await spine.head("s", CONTEXT)).cursor == Cursor(1, 2)
            faults.release()
