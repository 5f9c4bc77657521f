"""Segments: copies that are right or not used, after a crash at any moment and any damage."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from anyio.lowlevel import checkpoint
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import eventspine
from eventspine import Settings, Spine
from eventspine.adapters.filesystem.blobs.store import FilesystemBlobStore
from eventspine.adapters.filesystem.disk import Disk
from eventspine.contracts.limits import Limits
from eventspine.services.analytics.engine import FilesUnreadable, open_engine
from eventspine.services.analytics.segments import Segments
from eventspine.services.analytics.sql import Statement
from eventspine.testing.simulated_disk import Crashed, SimulatedDisk
from tests.stores.conftest import CONTEXT, LAB, Opener
from tests.stores.test_analytics import FOLDER, count, views

ROOT, BELOW = Path("/simulated"), "analytics_store/t/dev/_/events.parquet"
SIZE = 3  # events of a segment
LINES = [b'{"sequence":%d}' % n for n in range(1, 4 * SIZE + 1)]


async def line_of(sequence: int) -> bytes | None:
    return LINES[sequence - 1] if sequence <= len(LINES) else None


def parquet_of(first: int) -> bytes:
    return b"%d" % first * 500


async def write_all(segments: Segments) -> None:
    known = await segments.known(1, line_of)
    for first in range(known[-1].last + 1 if known else 1, len(LINES), SIZE):
        lines = LINES[first - 1 : first - 1 + SIZE]
        assert await segments.add(1, first, lines, parquet_of(first)) is not None


async def content(disk: SimulatedDisk) -> dict[int, bytes]:
    """What is used after a start, by first event; every gap in it is a failure."""
    store = on(disk)
    found, last = {}, 0
    for segment in await Segments(store, BELOW).known(1, line_of):
        assert segment.first == last + 1
        last = segment.last
        reader = await store.open(BELOW, segment.name)
        assert reader is not None
        found[segment.first] = await reader.read(reader.size, 0)
        await reader.aclose()
    return found


def on(disk: SimulatedDisk) -> FilesystemBlobStore:
    held: Any = disk
    return FilesystemBlobStore(ROOT, held)


@pytest.mark.parametrize("kind", ["process", "power"])
def test_a_crash_at_any_operation_leaves_whole_segments_or_none(kind: str) -> None:
    crashes = 0
    for seed in range(3):
        for crash_at in range(1, 40):
            disk = SimulatedDisk(ROOT, seed)
            disk.crash_at = crash_at
            try:
                anyio.run(write_all, Segments(on(disk), BELOW))
            except Crashed:
                crashes += 1
            disk.crash("power" if kind == "power" else "process")
            for first, found in anyio.run(content, disk).items():
                assert found == parquet_of(first), (seed, crash_at)
            anyio.run(write_all, Segments(on(disk), BELOW))
            assert anyio.run(content, disk) == {
                first: parquet_of(first) for first in range(1, len(LINES), SIZE)
            }, (seed, crash_at)
    assert crashes > 3 * 10, "the crashes came"


async def _go_on(segments: Segments) -> None:
    """What questions do: each part from what is known on, whether or not it could be kept."""
    known = await segments.known(1, line_of)
    for first in range(known[-1].last + 1 if known else 1, len(LINES), SIZE):
        lines = LINES[first - 1 : first - 1 + SIZE]
        await segments.add(1, first, lines, parquet_of(first))


async def _without_gap(segments: Segments) -> None:
    known = await segments.known(1, line_of)
    assert [one.first for one in known] == list(range(1, len(known) * SIZE, SIZE))


def test_a_segment_that_could_not_be_written_leaves_no_gap() -> None:
    for fail_at in range(1, 30):
        disk = SimulatedDisk(ROOT, 7)
        disk.failing_operations = frozenset([fail_at])
        segments = Segments(on(disk), BELOW)
        anyio.run(_go_on, segments)
        anyio.run(_without_gap, segments)
        anyio.run(_go_on, segments)
        assert anyio.run(content, disk) == {
            first: parquet_of(first) for first in range(1, len(LINES), SIZE)
        }, fail_at


def damaged(folder: Path, names: list[str], how: str) -> None:
    path = folder / names[1]
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif how == "cut":
        path.write_bytes(data[:-1])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "gone":
        path.unlink()
    elif how == "renamed":
        path.rename(folder / names[1].replace("1-4-6-", "1-4-7-"))
    elif how == "older life":
        path.rename(folder / names[1].replace("1-4-6-", "2-4-6-"))
    else:
        (folder / "draft").write_bytes(data)
        (folder / "notes.txt").write_bytes(b"of somebody")


@pytest.mark.parametrize(
    "how", ["flipped", "cut", "empty", "gone", "renamed", "older life", "left over"]
)
def test_what_is_not_right_is_not_used_and_made_again(tmp_path: Path, how: str) -> None:
    store = FilesystemBlobStore(tmp_path, Disk())
    anyio.run(write_all, Segments(store, BELOW))
    folder = tmp_path / BELOW
    names = sorted(path.name for path in folder.iterdir())
    names.sort(key=lambda name: int(name.split("-")[1]))
    damaged(folder, names, how)
    fresh = Segments(store, BELOW)
    known = anyio.run(fresh.known, 1, line_of)
    assert [one.name for one in known] == (names if how == "left over" else names[:1])
    anyio.run(write_all, fresh)
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_a_segment_of_other_events_is_not_used(tmp_path: Path) -> None:
    store = FilesystemBlobStore(tmp_path, Disk())
    anyio.run(write_all, Segments(store, BELOW))

    async def other(sequence: int) -> bytes | None:
        return b"of another stream" if sequence > SIZE else await line_of(sequence)

    assert len(anyio.run(Segments(store, BELOW).known, 1, other)) == 1


@pytest.mark.parametrize("text", ["*", "?", "[x]", "{a,b}"])
def test_a_folder_that_would_mean_others_has_no_segments(tmp_path: Path, text: str) -> None:
    store = FilesystemBlobStore(tmp_path / text, Disk())
    assert not Segments(store, BELOW).usable
    assert Segments(FilesystemBlobStore(tmp_path, Disk()), BELOW).usable


async def _asked(text: str, files: list[Path]) -> list[tuple[Any, ...]]:
    engine = await open_engine(Limits())
    try:
        return await engine.ask(Statement(text, {}), files)
    finally:
        await engine.aclose()


async def _forbidden(text: str, allowed: Path) -> None:
    builder = await open_engine(Limits())
    line = b'{"sequence":1,"ts":"2026-11-24T10:00:00Z","payload":{}}'
    allowed.write_bytes(await builder.parquet([line]))
    await builder.aclose()
    assert await _asked("SELECT count(*) FROM events", [allowed]) == [(1,)]
    with pytest.raises(FilesUnreadable):
        await _asked(text, [allowed])
    assert await _asked("SELECT count(*) FROM events", [allowed]) == [(1,)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_text('{other}')",
        "SELECT * FROM read_parquet('{other}')",
        "SELECT * FROM '{other}'",
        "COPY (SELECT 1) TO '{new}'",
        "COPY (SELECT 1) TO '{allowed}' (FORMAT parquet)",
        "ATTACH '{new}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SELECT * FROM glob('{folder}/*')",
    ],
)
def test_an_engine_reaches_nothing_but_the_files_it_was_told_of(tmp_path: Path, text: str) -> None:
    allowed, other, new = (tmp_path / name for name in ("a.parquet", "b.parquet", "c.db"))
    other.write_bytes(b"of another tenant")
    named = text.format(allowed=allowed, other=other, new=new, folder=tmp_path)
    anyio.run(_forbidden, named, allowed)
    assert not new.exists()
    assert other.read_bytes() == b"of another tenant"


@pytest.mark.anyio
async def test_segments_may_go_at_any_time(opener: Opener, backend: str, tmp_path: Path) -> None:
    async with opener(analytics_segment_events=4) as spine:
        analytics = spine.analytics(CONTEXT)
        await analytics.ingest(views(*range(10)))
        while spine.analytics_compaction.busy:
            await checkpoint()
        folder = tmp_path / FOLDER / "events.parquet"
        assert folder.exists() == (backend == "filesystem")
        if backend == "filesystem":
            assert len(list(folder.iterdir())) == 2
            shutil.rmtree(folder)
        assert await count(analytics, where={"ms": {"gte": 2}}) == 8
        await analytics.ingest(views(*range(10, 12)))  # too few for the service
        assert await count(analytics, where={"ms": {"gte": 2}}) == 10
        assert await analytics.compact() == (12 if backend == "filesystem" else 0)
        assert await count(analytics, where={"ms": {"gte": 2}}) == 10


@pytest.mark.anyio
async def test_what_comes_in_is_put_aside_without_a_question(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener(analytics_segment_events=4) as spine:
        assert "analytics" in [child.name for child in spine.tree().children]
        await spine.analytics(CONTEXT).ingest(views(*range(9)))
        await spine.analytics(CONTEXT, "other").ingest(views(*range(3)))
        while spine.analytics_compaction.busy:
            await checkpoint()
        found = [path.name.split("-")[1:3] for path in tmp_path.rglob("*-*.parquet")]
        assert sorted(found) == ([["1", "4"], ["5", "8"]] if backend == "filesystem" else [])
        assert await count(spine.analytics(CONTEXT)) == 9


# --- any life of a dataset, beside a dictionary -------------------------------------------------


class Dataset(RuleBasedStateMachine):
    """Ingests, restarts, compacts, and loses and damages segments; every answer is right."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(mkdtemp(prefix="eventspine-test-"))
        self.stack = ExitStack()
        self.portal: BlockingPortal = self.stack.enter_context(start_blocking_portal("asyncio"))
        self.model: dict[int, bool] = {}
        self.spine: Spine
        self.open: AbstractContextManager[Spine]

    @initialize()
    def start(self) -> None:
        limits = Limits(analytics_segment_events=SIZE)
        opened = eventspine.open(self.root, lab=True, settings=Settings(lab=LAB, limits=limits))
        self.open = self.portal.wrap_async_context_manager(opened)
        self.spine = self.open.__enter__()

    def stop(self) -> None:
        self.open.__exit__(None, None, None)

    @property
    def segments(self) -> list[Path]:
        folder = self.root / FOLDER / "events.parquet"
        return sorted(folder.glob("*.parquet")) if folder.exists() else []

    @rule(numbers=st.lists(st.integers(0, 30), min_size=1, max_size=6))
    def ingest(self, numbers: list[int]) -> None:
        analytics = self.spine.analytics(CONTEXT)
        done = self.portal.call(analytics.ingest, views(*numbers))
        assert done.stored == len(set(numbers) - self.model.keys())
        assert done.stored + done.duplicates == len(numbers)
        self.model |= dict.fromkeys(numbers, True)

    @rule()
    def restart(self) -> None:
        self.stop()
        self.start()

    @rule()
    def compact(self) -> None:
        held = self.portal.call(self.spine.analytics(CONTEXT).compact)
        assert held == len(self.model) // SIZE * SIZE

    @rule(which=st.integers(0, 9))
    def lose_a_segment(self, which: int) -> None:
        if self.segments:
            found = self.segments
            found[which % len(found)].unlink(missing_ok=True)  # some may be made meanwhile

    @rule(which=st.integers(0, 9), at=st.integers(0, 10_000))
    def damage_a_segment_while_it_is_closed(self, which: int, at: int) -> None:
        self.stop()
        if self.segments:
            path = self.segments[which % len(self.segments)]
            data = bytearray(path.read_bytes())
            data[at % len(data)] ^= 0x41
            path.write_bytes(data)
        self.start()

    @rule(least=st.integers(0, 30))
    def ask(self, least: int) -> None:
        asked = {"where": {"ms": {"gte": least}}, "group_by": [{"field": "user_id"}]}
        answer = self.portal.call(self.spine.analytics(CONTEXT).query, asked)
        people = [n % 3 for n in self.model if n >= least]
        assert answer.rows == [[f"u{n}", people.count(n)] for n in sorted(set(people))]

    @invariant()
    def nothing_is_lost_or_twice(self) -> None:
        if hasattr(self, "spine"):
            answer = self.portal.call(self.spine.analytics(CONTEXT).query, {})
            assert answer.rows == [[len(self.model)]]

    def teardown(self) -> None:
        if hasattr(self, "spine"):
            self.stop()
        self.stack.close()
        shutil.rmtree(self.root)


Dataset.TestCase.settings = settings(max_examples=6, stateful_step_count=12, print_blob=True)
TestDataset = Dataset.TestCase
