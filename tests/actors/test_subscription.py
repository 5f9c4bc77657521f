"""Live readers: history, then the tail, without a gap and without a double."""

from __future__ import annotations

import random
from typing import Any

import anyio
import pytest

from eventspine.actors.audience import SLICE_BYTES_MAX
from eventspine.actors.subscription import HISTORY_BYTES
from eventspine.bootstrap import open_spine
from eventspine.contracts.answers import TailSlice
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import Overloaded
from tests.actors.faulty import CONTEXT, event, numbers

pytestmark = pytest.mark.anyio


async def read_to_the_end(spine, stream, after, seen, context=CONTEXT):
    async with await spine.subscribe(stream, context, after) as subscription:
        async for piece in subscription:
            assert piece.first == subscription.cursor.sequence - len(piece.lines) + 1
            seen += numbers(piece.lines)
        return subscription.ended


@pytest.mark.parametrize("seed", range(6))
async def test_history_and_tail_join_under_concurrent_appends(spine, seed) -> None:
    rng = random.Random(seed)
    total, history = 120, rng.randrange(60)
    await spine.append_batch("s", [event(n) for n in range(history)] or [event(0)], CONTEXT)
    history = max(history, 1)
    got: list[tuple[int, list[int]]] = []

    async def reader(after: int) -> None:
        seen: list[int] = []
        assert await read_to_the_end(spine, "s", str(Cursor(1, after)), seen) == "closed"
        got.append((after, seen))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            n = history
            while n < total:
                if rng.random() < 0.3:
                    tasks.start_soon(reader, rng.randrange(history + 1))
                size = min(rng.randrange(1, 9), total - n)
                await spine.append_batch("s", [event(n + i) for i in range(size)], CONTEXT)
                n += size
            await spine.close_stream("s", CONTEXT)
    for after, seen in got:
        assert seen == list(range(after, total))


async def test_many_appenders_and_readers_agree(spine) -> None:
    seen: list[list[int]] = [[] for _ in range(5)]

    async def write(writer: int) -> None:
        for n in range(20):
            await spine.append("s", event(100 * writer + n), CONTEXT)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as readers:
            for one in seen:
                readers.start_soon(read_to_the_end, spine, "s", None, one)
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as writers:
                for writer in range(5):
                    writers.start_soon(write, writer)
            await spine.close_stream("s", CONTEXT)
    assert all(one == seen[0] for one in seen)
    assert sorted(seen[0]) == sorted(100 * w + n for w in range(5) for n in range(20))
    for writer in range(5):
        mine = [n for n in seen[0] if n // 100 == writer]
        assert mine == sorted(mine)


async def test_a_reader_from_the_start_gets_more_than_the_tail_holds(spine) -> None:
    await spine.append_batch("s", [event(n) for n in range(3000)], CONTEXT)
    await spine.close_stream("s", CONTEXT)
    seen: list[int] = []
    assert await read_to_the_end(spine, "s", None, seen) == "closed"
    assert seen == list(range(3000))


async def test_a_delete_ends_readers(spine) -> None:
    await spine.append("s", event(1), CONTEXT)
    reasons = []

    async def reader() -> None:
        reasons.append(await read_to_the_end(spine, "s", None, []))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            await anyio.wait_all_tasks_blocked()
            await spine.delete_stream("s", CONTEXT)
    assert reasons == ["deleted"]


async def test_a_drain_ends_readers(spine) -> None:
    await spine.append("s", event(1), CONTEXT)
    reasons = []

    async def reader() -> None:
        reasons.append(await read_to_the_end(spine, "s", None, []))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            await anyio.wait_all_tasks_blocked()
            spine.drain()
    assert reasons == ["draining"]


async def test_a_subscription_to_a_closed_stream_ends_after_its_last_event(spine) -> None:
    await spine.append_batch("s", [event(0), event(1)], CONTEXT)
    await spine.close_stream("s", CONTEXT)
    seen: list[int] = []
    assert await read_to_the_end(spine, "s", str(Cursor(1, 1)), seen) == "closed"
    assert seen == [1]
    assert await read_to_the_end(spine, "s", "latest", seen) == "closed"
    assert seen == [1]


async def test_readers_at_one_position_share_one_slice(spine) -> None:
    await spine.append("s", event(0), CONTEXT)
    pieces = []

    async def reader() -> None:
        async with await spine.subscribe("s", CONTEXT, "latest") as subscription:
            pieces.append(await subscription.__anext__())

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(reader)
        await anyio.wait_all_tasks_blocked()
        await spine.append("s", event(1), CONTEXT)
    assert len({id(piece) for piece in pieces}) == 1
    assert spine._hosts[0].readers == set()


class Recorder:
    """A sink that takes what it is told to, and then refuses or fails."""

    def __init__(self, takes: int, error: Exception | None = None) -> None:
        self.pieces: list[TailSlice] = []
        self._takes, self._error = takes, error

    def take(self, piece: TailSlice) -> bool:
        if len(self.pieces) >= self._takes:
            if self._error is not None:
                raise self._error
            return False
        self.pieces.append(piece)
        return True


@pytest.mark.parametrize("error", [None, RuntimeError("a sink that is broken")])
@pytest.mark.parametrize("takes", [0, 1, 3, 1000])
async def test_sink_and_task_together_get_everything_once(spine, takes, error) -> None:
    sink, seen = Recorder(takes, error), list[Any]()

    async def reader() -> None:
        async with await spine.subscribe("s", CONTEXT) as subscription:
            subscription.push_into(sink)
            async for piece in subscription:
                seen.extend((piece.first, numbers(piece.lines)))
        assert subscription.ended == "closed"

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            for n in range(12):
                await anyio.wait_all_tasks_blocked()
                await spine.append_batch("s", [event(2 * n), event(2 * n + 1)], CONTEXT)
            await spine.close_stream("s", CONTEXT)
    assert len(sink.pieces) == min(takes, 12)
    pulled = list(zip(seen[::2], seen[1::2], strict=True))
    pushed = [(piece.first, numbers(piece.lines)) for piece in sink.pieces]
    got = [n for _, part in sorted(pushed + pulled) for n in part]
    assert got == list(range(24))


async def test_what_a_reader_holds_is_bounded_in_history_and_in_the_tail(spine) -> None:
    big = [event("x" * 50_000) for _ in range(10)]
    for _ in range(3):
        await spine.append_batch("s", big, CONTEXT)
    async with (
        await spine.subscribe("s", CONTEXT) as slow,
        await spine.subscribe("s", CONTEXT, "latest") as live,
    ):
        await spine.append_batch("s", big, CONTEXT)
        for subscription in (slow, live):
            while subscription.cursor.sequence < 40:
                piece = await subscription.__anext__()
                bytes_max = HISTORY_BYTES if piece.first <= 30 else SLICE_BYTES_MAX
                assert 0 < sum(map(len, piece.lines)) < bytes_max + 51_000


async def test_no_more_readers_than_allowed(faulty) -> None:
    async with faulty(subscribers_max=2) as (spine, _):
        one = await spine.subscribe("s", CONTEXT)
        two = await spine.subscribe("s", CONTEXT)
        with pytest.raises(Overloaded):
            await spine.subscribe("s", CONTEXT)
        one.close()
        one.close()
        (await spine.subscribe("s", CONTEXT)).close()
        two.close()


async def test_a_reader_on_files_joins_history_and_tail_too(tmp_path) -> None:
    lab = CONTEXT.model_copy(update={"tenant_id": "t_demo", "env": "dev"})
    async with open_spine(tmp_path, lab=True) as spine:
        await spine.append_batch("s", [event(n) for n in range(700)], lab)
    async with open_spine(tmp_path) as spine:
        seen: list[int] = []

        async def reader() -> None:
            assert await read_to_the_end(spine, "s", None, seen, lab) == "closed"

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reader)
                for n in range(700, 800):
                    await spine.append("s", event(n), lab)
                await spine.close_stream("s", lab)
        assert seen == list(range(800))
