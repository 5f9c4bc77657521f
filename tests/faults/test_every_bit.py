"""Every flipped bit and every cut of a log of 100 events, of their events.jsonl and of its index.

Each of them, one by one, at the layer that decides: is this record whole, and if not, is it damage?
is this run what its index entry says? does the index agree with the events? Opening a root for
each would take days; it is done for a sample, drawn from the seed, which must come back exactly as
it was, or refuse. Nothing may be served shorter or altered, nor be taken if written otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import cast

import pytest

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.log import record
from eventspine.adapters.filesystem.log.log_scan import LogScan, damage_at, record_at
from eventspine.adapters.filesystem.log.salvage import mended_segment_head
from eventspine.adapters.filesystem.quarantine import Quarantine
from eventspine.adapters.filesystem.recovery.copies import FileCopies
from eventspine.adapters.filesystem.streams.stream_files import StreamFiles
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.stores import StreamCommit
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.adapters.filesystem.machine import ROOT
from tests.adapters.filesystem.test_salvage import LOG, ROOMY, commit_of
from tests.torture.test_sigkill import SEED, report_of

EVENTS = 100
STREAMS = [f"event_stream/t/e/_/{name}" for name in ("one", "two", "three", "four")]
EACH = EVENTS // len(STREAMS)
SAMPLE = 150

pytestmark = [pytest.mark.torture, pytest.mark.slow, pytest.mark.timeout(900)]


def opened(disk: SimulatedDisk) -> FilesystemEventStreamStore:
    return FilesystemEventStreamStore.open(ROOT, ROOMY, cast(Disk, disk), start_flusher=False)


@cache
def in_the_log() -> SimulatedDisk:
    """100 events of four streams in 100 records; the process is gone, the files are empty."""
    disk = SimulatedDisk(ROOT)
    store = opened(disk)
    for sequence in range(1, EACH + 1):
        for key in STREAMS:
            store.commit([commit_of(key, sequence, 1)])
    disk.crash("process")
    data = disk.read_file(LOG) or b""
    disk.damage(LOG, data[: len(data.rstrip(b"\0")) + 64])  # the zeros behind are all alike
    return disk


@cache
def in_files() -> SimulatedDisk:
    """100 events of one stream, in ten runs, and no log."""
    disk = SimulatedDisk(ROOT)
    store = opened(disk)
    for first in range(1, EVENTS + 1, 10):
        store.commit([commit_of(STREAMS[0], first, 10)])
        store.flusher.flush()
    store.close()
    disk.crash("process")
    return disk


def flips(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """(bit, the data with it flipped) for every bit of these bytes."""
    flipped = bytearray(data)
    for at in range(start, end):
        for bit in range(8):
            flipped[at] ^= 1 << bit
            yield 8 * at + bit, bytes(flipped)
            flipped[at] ^= 1 << bit


def places() -> Iterator[tuple[int, int, bytes, int]]:
    """(lsn before, where it begins, chain before, where it ends) of every record of the log."""
    data = in_the_log().read_file(LOG) or b""
    lsn, chain, at = 0, record.GENESIS, record.HEAD_BYTES
    while (whole := record_at(data, at, lsn, chain)) is not None:
        head, _ = whole
        end = at + record.RECORD_HEAD_BYTES + head.length
        yield lsn, at, chain, end
        lsn, chain, at = head.lsn, head.chain, end
    assert lsn == EVENTS


def test_every_flipped_bit_of_a_log_is_seen() -> None:
    report = report_of("bits-log")
    data = in_the_log().read_file(LOG) or b""
    end = record.HEAD_BYTES
    for lsn, at, chain, end in places():
        for bit, damaged in flips(data[at:], 0, end - at):
            assert record_at(damaged, 0, lsn, chain) is None, f"bit {bit} of record {lsn + 1}"
            assert damage_at(damaged, 0, lsn, lsn, EVENTS, None), f"bit {bit} of {lsn + 1}"
        report.faults["bits flipped in records"] = 8 * (end - record.HEAD_BYTES)
    for _, damaged in flips(data[: record.HEAD_BYTES], 0, record.HEAD_BYTES):
        assert record.decode_head(damaged) is None
        assert mended_segment_head(damaged) == record.decode_head(data)
        report.fault("bits flipped in the head of a segment")
    for _, damaged in flips(data[end:], 0, len(data) - end):
        assert record_at(damaged, 0, EVENTS, bytes(32)) is None
        report.fault("bits flipped behind the last record")
    report.done()


class _Aside(Quarantine):
    """Forgets the copies: there is one for each of thousands of cuts."""

    def keep(self, path: Path, data: bytes) -> Path:
        return path


def test_every_cut_of_a_log_is_seen() -> None:
    """In the middle of a record nothing of it is taken; the log as a whole is told by its seal."""
    report = report_of("cuts-log")
    disk = deepcopy(in_the_log())
    data = disk.read_file(LOG) or b""
    whole_scans = {*range(record.HEAD_BYTES + 2), len(data)}
    for lsn, at, chain, end in places():
        for size in range(at, end):
            assert record_at(data[:size], at, lsn, chain) is None
            assert damage_at(data[:size], at, lsn, lsn, EVENTS, None)
        whole_scans |= {at, at + 1, end - 1, end}
    report.faults["log cut"] = len(data)
    folder, files = LOG.parent, StreamFiles(ROOT, cast(Disk, disk), 8)
    aside = _Aside(ROOT, cast(Disk, disk))
    used = len(data.rstrip(b"\0"))
    for size in sorted(whole_scans):
        disk.damage(LOG, data[:size])
        scan = LogScan(folder, cast(Disk, disk), aside, FileCopies(files))
        if size < used:
            with pytest.raises(StoreCorrupt):
                list(scan.commits())
        else:
            assert len(list(scan.commits())) == EVENTS
        report.fault("log cut, and scanned from its start")
    report.done()


def files_of(disk: SimulatedDisk) -> StreamFiles:
    return StreamFiles(ROOT, cast(Disk, disk), 8)


def refuses(disk: SimulatedDisk, first: int, count: int) -> bool:
    """Whether opening the stream, or reading these of its events, says that it is damaged."""
    files = files_of(disk)
    try:
        state = files.load(STREAMS[0])
        lines = files.reader.read(STREAMS[0], first, count, 1 << 30, wait=True)
    except StoreCorrupt:
        return True
    finally:
        files.reader.open.close()
    assert state is not None
    assert (state.epoch, state.mode, state.last, state.closed) == (1, "lab", EVENTS, False)
    assert lines == commit_of(STREAMS[0], first, count).lines
    return False


def test_every_flipped_bit_of_an_index_is_seen() -> None:
    report = report_of("bits-index")
    disk = deepcopy(in_files())
    path = ROOT / STREAMS[0] / "events.idx"
    for bit, damaged in flips(data := disk.read_file(path) or b"", 0, len(data)):
        disk.damage(path, damaged)
        assert refuses(disk, 1, EVENTS), f"bit {bit}"
        report.fault("bits flipped in events.idx")
    report.done()


def test_every_flipped_bit_of_the_events_is_seen() -> None:
    report = report_of("bits-events")
    disk = deepcopy(in_files())
    path = ROOT / STREAMS[0] / "events.jsonl"
    data = disk.read_file(path) or b""
    reader = files_of(disk).reader
    end = 0
    for run in range(EVENTS // 10):  # the run that holds the bit is what anybody reads
        lines = commit_of(STREAMS[0], 10 * run + 1, 10).lines
        start, end = end, end + sum(len(line) + 1 for line in lines)
        for _, damaged in flips(data, start, end):
            disk.damage(path, damaged)
            with pytest.raises(StoreCorrupt, match="fail their checksum"):
                reader.read(STREAMS[0], 10 * run + 1, 10, 1 << 30, wait=True)
        disk.damage(path, data)
        assert reader.read(STREAMS[0], 10 * run + 1, 10, 1 << 30, wait=True) == lines
    assert end == len(data)
    report.faults["bits flipped in events.jsonl"] = 8 * len(data)
    report.done()


@pytest.mark.parametrize("name", ["events.jsonl", "events.idx"])
def test_every_cut_of_a_stream_s_files_is_seen(name: str) -> None:
    report = report_of(f"cuts-{name}")
    disk = deepcopy(in_files())
    path = ROOT / STREAMS[0] / name
    data = disk.read_file(path) or b""
    for size in range(len(data)):
        disk.damage(path, data[:size])
        with pytest.raises(StoreCorrupt):
            files_of(disk).load(STREAMS[0])
        report.fault(f"{name} cut")
    report.done()


def test_a_sample_of_them_comes_back_as_it_was_or_refuses() -> None:
    report = report_of("bits-sample")
    rng = random.Random(f"bits {SEED}")
    data = in_the_log().read_file(LOG) or b""
    used = len(data.rstrip(b"\0"))
    for _ in range(SAMPLE):
        bits = rng.choice([1, 1, 2, 9])
        damaged = bytearray(data)
        at = rng.randrange(8 * (used - 2))
        for bit in {at, *(at + rng.randrange(16) for _ in range(bits - 1))}:
            damaged[bit // 8] ^= 1 << bit % 8
        disk = deepcopy(in_the_log())
        disk.damage(LOG, bytes(damaged))
        report.fault(f"{bits} bits flipped, the root opened: {_outcome(disk, bits)}")
    report.done()
    print(report.as_markdown())
    assert not [name for name in report.faults if name.startswith("1 ") and "whole" not in name]


def _outcome(disk: SimulatedDisk, bits: int) -> str:
    """What opening the root came to, twice; all that is served is what was acknowledged."""
    try:
        opened(disk)
    except StoreCorrupt:
        return "refused"
    store = opened(disk)
    served = 0
    for key in STREAMS:
        try:
            assert store._head(key).sequence == EACH, f"seed {SEED}"
        except StoreCorrupt:
            continue
        lines = store._read(key, 1, EVENTS, 1 << 30)
        assert lines == commit_of(key, 1, EACH).lines, f"seed {SEED}"
        served += 1
    assert served >= len(STREAMS) - 1, f"seed {SEED}"
    return "whole" if served == len(STREAMS) else "one stream refuses"


def test_the_log_holds_what_it_is_meant_to() -> None:
    store = opened(deepcopy(in_the_log()))
    assert store.recovery.records == EVENTS
    assert isinstance(commit_of(STREAMS[0], 1, 1), StreamCommit)
