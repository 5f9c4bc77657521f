"""What every EventStreamStore must do, as a suite that a backend's tests run.

    class TestMine(EventStreamStoreSuite):
        pytestmark = pytest.mark.anyio

        @asynccontextmanager
        async def open(self, place):
            yield MyStore(place)

A place nobody opened before is empty; a `durable` store has everything when it is opened again.
Tests are methods without arguments, so any runner that awaits can run them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from copy import deepcopy
from dataclasses import dataclass, field

import anyio.to_thread

from eventspine.contracts.cursor import Cursor
from eventspine.contracts.event_id import id_time, new_event_id
from eventspine.contracts.stores import CommitKind, EventStreamStore, StreamCommit, StreamHead

EVERYTHING = 1 << 40
KEYS = [f"event_stream/tenant/dev/_/{name}" for name in ("a", "b", "%c3%a9", "c" * 150)]
_LINE = (
    '{"sequence":%d,"cursor":"%s","event_id":"%s","ts":"2026-11-22T13:05:01.123Z",'
    '"event_type":"t","stream_id":"s","routing":{"tenant_id":"tenant","env":"dev","mode":"%s",'
    '"project_id":"default"},"metadata":{},"payload":{"text":"%s"}}'
)


@dataclass
class Expected:
    """One stream as it should be."""

    epoch: int = 1
    mode: str | None = None
    closed: bool = False
    lines: list[bytes] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    @property
    def head(self) -> StreamHead:
        return StreamHead(self.epoch, len(self.lines), self.closed, self.mode)


class Program:
    """Builds batches, and knows what must be in the store once they are committed."""

    def __init__(self, mode: str = "lab") -> None:
        self.streams = {key: Expected() for key in KEYS}
        self.batch: list[StreamCommit] = []
        self._mode = mode

    def append(self, key: str, *payloads: str, own_ids: bool = False) -> Program:
        stream = self.streams[key]
        stream.mode = stream.mode or self._mode
        first, lines = len(stream.lines) + 1, []
        for sequence, text in enumerate(payloads, first):
            made = new_event_id(id_time(1_700_000_000_000), sequence).decode()
            event_id = f"own {stream.epoch} {sequence}" if own_ids else made
            cursor = Cursor(stream.epoch, sequence)
            line = _LINE % (sequence, cursor, event_id, self._mode, text)
            lines.append(line.encode())
            stream.ids.append(event_id)
        stream.lines += lines
        self.batch.append(StreamCommit(key, self._mode, stream.epoch, first, lines))
        return self

    def close(self, key: str) -> Program:
        self._end(key, CommitKind.CLOSE)
        self.streams[key].closed = True
        return self

    def delete(self, key: str) -> Program:
        self._end(key, CommitKind.DELETE)
        self.streams[key] = Expected(self.streams[key].epoch + 1)
        return self

    def begin_at(self, key: str, epoch: int) -> Program:
        """What a copy of a stream begins with that was deleted where it comes from."""
        self.streams[key] = Expected(epoch - 1)
        return self.delete(key)

    def _end(self, key: str, kind: CommitKind) -> None:
        stream = self.streams[key]
        next_sequence = len(stream.lines) + 1
        self.batch.append(
            StreamCommit(key, stream.mode or "", stream.epoch, next_sequence, [], kind)
        )

    def take(self) -> list[StreamCommit]:
        batch, self.batch = self.batch, []
        return batch


class EventStreamStoreSuite:
    """Subclass it and say how the store is opened. `durable`: a restart loses nothing."""

    durable = True

    def open(self, place: str) -> AbstractAsyncContextManager[EventStreamStore]:
        raise NotImplementedError

    # --- the tests ---

    async def test_an_empty_store_has_no_events(self) -> None:
        async with self.open("here") as store:
            await check(store, Program())

    async def test_events_come_back_as_they_were_in_order(self) -> None:
        await self._run(_growing())

    async def test_a_batch_may_hold_many_streams_and_many_commits_of_one(self) -> None:
        program = Program()
        for n in range(3):
            program.append(KEYS[0], f"{n}").append(KEYS[1], f"{n}", f"{n}").append(KEYS[0], "x")
        await self._run([program])

    async def test_a_closed_stream_stays_closed_and_readable(self) -> None:
        program = Program().append(KEYS[0], "1", "2")
        steps = [deepcopy(program)]
        steps.append(deepcopy(program := _continued(program).close(KEYS[0]).append(KEYS[1], "1")))
        steps.append(deepcopy(_continued(program).append(KEYS[2], "1").close(KEYS[2])))
        await self._run(steps)

    async def test_a_deleted_stream_is_empty_and_begins_again_in_the_next_epoch(self) -> None:
        program = Program().append(KEYS[0], *"abcdef", own_ids=True).append(KEYS[1], "1")
        steps = [deepcopy(program)]
        for change in range(4):
            program = _continued(program)
            if change == 2:
                program.append(KEYS[0], "soon gone")
            program.delete(KEYS[0])
            if change % 2:
                program.append(KEYS[0], f"life {change}", own_ids=True)
            else:
                steps.append(deepcopy(program))
                program = _continued(program).append(KEYS[0], "later", own_ids=True)
            steps.append(deepcopy(program))
        await self._run(steps)

    async def test_a_stream_can_begin_in_a_later_epoch(self) -> None:
        program = Program().begin_at(KEYS[0], 7).append(KEYS[0], "a", "b", own_ids=True)
        steps = [deepcopy(program.begin_at(KEYS[1], 3))]
        program = _continued(program).append(KEYS[0], "c").append(KEYS[1], "1").begin_at(KEYS[2], 2)
        steps.append(deepcopy(program))
        steps.append(deepcopy(_continued(program).delete(KEYS[0]).append(KEYS[2], "1")))
        await self._run(steps)

    async def test_a_closed_stream_can_be_deleted(self) -> None:
        program = Program().append(KEYS[0], "1").close(KEYS[0])
        steps = [deepcopy(program)]
        steps.append(deepcopy(program := _continued(program).delete(KEYS[0])))
        steps.append(deepcopy(_continued(program).append(KEYS[0], "again")))
        await self._run(steps)

    async def test_the_mode_of_the_first_event_is_remembered(self) -> None:
        program = Program("a-mode-of-its-own").append(KEYS[0], "1")
        await self._run([program])

    async def test_long_lines_and_long_batches(self) -> None:
        program = Program()
        program.append(KEYS[0], "x" * 100_000, "y", "z" * 40_000, *["small"] * 1500)
        steps = [deepcopy(program)]
        steps.append(deepcopy(_continued(program).append(KEYS[0], *["more"] * 300)))
        await self._run(steps)

    async def test_reads_are_bounded_by_count_and_bytes(self) -> None:
        program = Program().append(KEYS[0], *["x" * (37 * n % 400) for n in range(60)])
        async with self.open("here") as store:
            await commit(store, program)
            stream = program.streams[KEYS[0]]
            for first, count, bytes_max in _windows(random.Random(1)):
                await _check_window(store, KEYS[0], stream, first, count, bytes_max)
        if self.durable:
            async with self.open("here") as store:
                for first, count, bytes_max in _windows(random.Random(2)):
                    await _check_window(store, KEYS[0], stream, first, count, bytes_max)

    async def test_ids_added_by_the_owner_are_found_at_once(self) -> None:
        program = Program().append(KEYS[0], "1", "2", own_ids=True)
        async with self.open("here") as store:
            await commit(store, program)
            ids = await store.ids(KEYS[0])
            try:
                ids.add("not committed yet", 3)
                assert 3 in ids.candidates("not committed yet")
                ids.committed(3)
                assert 3 in ids.candidates("not committed yet")
                assert 1 in ids.candidates("own 1 1")
            finally:
                ids.close()

    async def test_every_id_of_many_is_found(self) -> None:
        program = Program().append(KEYS[0], *["x"] * 2500, own_ids=True)
        await self._run([program, _continued(program).append(KEYS[0], *["y"] * 700, own_ids=True)])

    async def test_random_programs(self) -> None:
        for seed in range(4):
            rng, program = random.Random(seed), Program()
            for _ in range(3 if self.durable else 1):
                async with self.open(f"seed {seed}") as store:
                    for _ in range(8):
                        program = _random_step(_continued(program), rng)
                        await commit(store, program)
                    await check(store, program)

    # --- running them ---

    async def _run(self, steps: Sequence[Program]) -> None:
        """Commit step by step in one life of the store; then again with a restart after each."""
        async with self.open("one life") as store:
            for step in deepcopy(steps):
                await commit(store, step)
                await check(store, step)
        for step in steps if self.durable else ():
            async with self.open("a life a step") as store:
                await commit(store, step)
                await check(store, step)
            async with self.open("a life a step") as store:
                await check(store, step)


def _continued(program: Program) -> Program:
    after = deepcopy(program)
    after.batch = []
    return after


def _growing() -> list[Program]:
    program, steps = Program(), []
    for n in range(6):
        program = _continued(program)
        for key in KEYS[: n % 4 + 1]:
            program.append(key, *[f"{n}.{i}" for i in range(n + 1)], own_ids=n % 2 == 0)
        steps.append(deepcopy(program))
    return steps


def _random_step(program: Program, rng: random.Random) -> Program:
    for _ in range(rng.randrange(1, 4)):
        key = rng.choice(KEYS)
        stream = program.streams[key]
        roll = rng.random()
        if stream.lines and roll < 0.1:
            program.delete(key)
        elif stream.lines and not stream.closed and roll < 0.2:
            program.close(key)
        elif not stream.closed:
            program.append(key, *["x" * rng.randrange(50)] * rng.randrange(1, 5))
    return program


def _windows(rng: random.Random) -> list[tuple[int, int, int]]:
    fixed = [(1, 1, 1), (60, 5, 1), (61, 5, EVERYTHING), (1000, 1, EVERYTHING)]
    sizes = [1, 150, 500, 5_000, EVERYTHING]
    some = [(rng.randrange(1, 64), rng.randrange(1, 70), rng.choice(sizes)) for _ in range(60)]
    return [*fixed, *some]


# --- checks, usable by themselves ---


async def commit(store: EventStreamStore, program: Program) -> None:
    batch = program.take()
    if batch:
        await anyio.to_thread.run_sync(store.commit, batch)


async def check(store: EventStreamStore, program: Program, *, ids: bool = True) -> None:
    """The store holds exactly what the program says."""
    written = sorted(key for key, stream in program.streams.items() if stream.head != StreamHead())
    for prefix in ("event_stream/", "event_stream/tenant/", "event_stream/tenant/dev/_/"):
        assert await store.keys(prefix) == written, prefix
    assert await store.keys("event_stream/tenant/de/") == []
    for key, stream in program.streams.items():
        assert await store.head(key) == stream.head, key
        count = len(stream.lines)
        assert await store.read(key, 1, count + 10, EVERYTHING) == stream.lines, key
        for first in {1, 2, count // 2, count, count + 1, count + 2} - {0}:
            await _check_window(store, key, stream, first, 3, EVERYTHING)
        if ids:
            await _check_ids(store, key, stream)


async def _check_window(
    store: EventStreamStore, key: str, stream: Expected, first: int, count: int, bytes_max: int
) -> None:
    got = await store.read(key, first, count, bytes_max)
    most = stream.lines[first - 1 : first - 1 + count]
    assert got == most[: len(got)], (key, first, count, bytes_max)
    assert bool(got) == bool(most), "at least one line if there is one"
    assert len(got) <= 1 or sum(map(len, got)) <= bytes_max
    if len(got) < len(most):  # newlines and the like may count, nothing else
        assert sum(len(line) + 1 for line in most[: len(got) + 1]) > bytes_max
    at_once = store.read_nowait(key, first, count, bytes_max)
    assert at_once is None or at_once == got


async def _check_ids(store: EventStreamStore, key: str, stream: Expected) -> None:
    index = await store.ids(key)
    try:
        for sequence, event_id in enumerate(stream.ids, 1):
            if event_id.startswith("own"):
                found = index.candidates(event_id)
                assert sequence in found, (key, event_id)
                assert list(found) == sorted(found, reverse=True), "newest first"
    finally:
        index.close()
