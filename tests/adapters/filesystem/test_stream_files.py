"""Finding a page in the index, whatever its runs look like."""

from __future__ import annotations

import random
from pathlib import Path
from typing import cast
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.streams import runs, stream_files
from eventspine.adapters.filesystem.streams.backlog import Unflushed
from eventspine.adapters.filesystem.streams.runs import IndexHead, Run
from eventspine.adapters.filesystem.streams.stream_files import StreamFiles
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.adapters.filesystem.lines import closing, events, lines_of
from tests.inner import examples

KEY = "event_stream/t/e/_/s"


class CountingDisk(Disk):
    reads = 0

    def read(self, fd: int, count: int, offset: int) -> bytes:
        self.reads += 1
        return super().read(fd, count, offset)


def part(first: int, lines: list[bytes], *, close: bool = False) -> Unflushed:
    commit = events(KEY, first, lines)
    made = Unflushed(commit)
    made.add(commit)
    if close:
        made.add(closing(KEY, first + len(lines)))
    return made


@settings(max_examples=examples(30), deadline=None)
@given(
    st.lists(st.integers(1, 9) | st.just(1) | st.just(300), min_size=1, max_size=150),
    st.integers(0, 2**20),
)
def test_every_window_is_found_over_irregular_runs(tmp_path_factory, pieces, seed) -> None:
    rng = random.Random(seed)
    files = StreamFiles(tmp_path_factory.mktemp("root"), Disk(), 8)
    lines: list[bytes] = []
    for n, count in enumerate(pieces):
        new = [b"%d" % (len(lines) + i) * rng.randrange(1, 9) for i in range(count)]
        files.append(KEY, part(len(lines) + 1, new, close=n == len(pieces) - 1))
        lines += new
    for _ in range(60):
        first, count = rng.randrange(1, len(lines) + 3), rng.randrange(1, 400)
        got = files.reader.read(KEY, first, count, 1 << 30, wait=True)
        assert got == lines[first - 1 : first - 1 + count]
        assert files.reader.read(KEY, first, count, 1 << 30, wait=False) in (None, got)
        bytes_max = rng.choice([1, 20, 300, 3000])
        got = files.reader.read(KEY, first, count, bytes_max, wait=True)
        assert got == lines[first - 1 : first - 1 + len(got or [])]
        assert bool(got) == (first <= len(lines))
    files.close()


def hundred_thousand_runs(root: Path, rng: random.Random) -> tuple[CountingDisk, StreamFiles, int]:
    """An index of many one-event runs and, here and there, long ones."""
    folder = root / KEY
    folder.mkdir(parents=True)
    entries, data, first = [runs.encode_head(IndexHead(1, "lab"))], [], 1
    offset = 0
    for n in range(100_000):
        count = 200 if n % 30_000 == 7 else 1
        piece = b"".join(b"%d\n" % (first + i) for i in range(count))
        run = Run(first, offset, len(piece), count, 0, crc32(piece), bytes(32))
        entries.append(runs.encode_run(run))
        data.append(piece)
        first, offset = first + count, offset + len(piece)
    (folder / "events.idx").write_bytes(b"".join(entries))
    (folder / "events.jsonl").write_bytes(b"".join(data))
    disk = CountingDisk()
    return disk, StreamFiles(root, disk, 8), first - 1


@pytest.mark.slow
def test_a_page_costs_a_handful_of_reads_anywhere_in_a_long_index(tmp_path) -> None:
    rng = random.Random(4)
    disk, files, last = hundred_thousand_runs(tmp_path, rng)
    for first in [1, 2, last // 2, last - 1, last, *[rng.randrange(1, last) for _ in range(300)]]:
        disk.reads = 0
        got = files.reader.read(KEY, first, 10, 1 << 20, wait=True)
        assert got == [b"%d" % n for n in range(first, min(first + 10, last + 1))]
        assert disk.reads <= 40
    assert files.reader.read(KEY, last + 1, 10, 1 << 20, wait=True) == []
    files.close()


def test_only_so_many_files_stay_open(tmp_path) -> None:
    files = StreamFiles(tmp_path, Disk(), 8)
    for n in range(20):
        files.append(f"{KEY}{n}", part(1, [b"%d" % n]))
    for n in [*range(20), 3, 17, 0]:
        assert files.reader.read(f"{KEY}{n}", 1, 1, 9, wait=True) == [b"%d" % n]
        assert 2 * len(files.reader.open) <= 8
    files.close()
    assert len(files.reader.open) == 0


def test_an_append_again_writes_nothing_twice(tmp_path) -> None:
    files = StreamFiles(tmp_path, Disk(), 8)
    files.append(KEY, part(1, [b"1", b"2"]))
    files.append(KEY, part(1, [b"1", b"2", b"3"]))
    files.append(KEY, part(2, [b"2", b"3"]))
    assert files.reader.read(KEY, 1, 9, 99, wait=True) == [b"1", b"2", b"3"]
    assert (tmp_path / KEY / "events.jsonl").read_bytes() == b"1\n2\n3\n"
    files.close()


@pytest.mark.parametrize("space", range(0, 1200, 100))
def test_a_stream_written_in_part_is_written_on_when_its_state_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, space: int
) -> None:
    monkeypatch.setattr(stream_files, "STATES_MAX", 1)
    disk = SimulatedDisk(Path("/simulated/root"))
    files = StreamFiles(disk.root, cast(Disk, disk), 8)
    one, lines = part(1, lines_of(1, 4, size=100)), lines_of(1, 1)
    other = Unflushed(events(KEY + "2", 1, lines))
    other.add(events(KEY + "2", 1, lines))
    disk.space_bytes = space
    try:
        files.append(KEY, one)
    except OSError:
        disk.space_bytes = None
    files.append(KEY + "2", other)
    files.append(KEY, one)
    state = files.load(KEY)
    assert state is not None
    assert state.last == 4


@settings(max_examples=examples(30), deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 300)), max_size=8)),
)
def test_streams_written_together_are_as_those_written_one_by_one(
    tmp_path_factory, flushes
) -> None:
    roots = [tmp_path_factory.mktemp("root") for _ in range(2)]
    one_by_one, together = [StreamFiles(root, Disk(), 8) for root in roots]  # four streams open
    written: dict[str, int] = {}
    for flush in flushes:
        parts = []
        for name, count in dict(flush).items():
            key, first = f"event_stream/t/e/_/{name}", written.get(name, 0) + 1
            written[name] = first + count - 1
            commit = events(key, first, lines_of(first, count))
            unflushed = Unflushed(commit)
            unflushed.add(commit)
            parts.append((key, unflushed))
        for key, unflushed in parts:
            one_by_one.append(key, unflushed)
        together.begin_many(parts)
        going_on = [each for each in parts if together.goes_on(*each)]
        left = together.append_many(going_on)
        left = [*left, *together.append_many(going_on)]  # as after a failure: nothing twice
        for each in parts:
            if each not in going_on or each in left:
                together.append(*each)
    for files in (one_by_one, together):
        files.sync()
        files.close()
    found = [
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*")}
        for root in roots
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 2 * len(written)
