"""A damaged record costs the streams in it, or nothing; a stream that lost something says so."""

from __future__ import annotations

import random
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import cast

import pytest

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.doctor import examine
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.log import record
from eventspine.adapters.filesystem.log.salvage import salvage, unflipped
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.stores import StreamCommit
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.adapters.filesystem.machine import ROOT, TINY

ROOMY = TINY.model_copy(update={"log_segment_bytes": 64 * 1024})
KEYS = [f"event_stream/t/e/_/{name}" for name in ("one", "two", "three")]
LOG = ROOT / "commit_log" / "0000000000000001.log"


def line_of(key: str, sequence: int) -> bytes:
    name = key.rpartition("/")[2]
    return (
        b'{"sequence":%d,"cursor":"%016d_%016d","event_id":"%b-%d","ts":"2026-11-22T13:05:01.123Z",'
        b'"event_type":"t","stream_id":"%b","routing":{"tenant_id":"t","env":"e","mode":"lab",'
        b'"project_id":"default"},"metadata":{},"payload":{"text":"some words to be damaged"}}'
        % (sequence, 1, sequence, name.encode(), sequence, name.encode())
    )


def commit_of(key: str, first: int, count: int) -> StreamCommit:
    lines = [line_of(key, sequence) for sequence in range(first, first + count)]
    return StreamCommit(key, "lab", 1, first, lines)


def opened(disk: SimulatedDisk) -> FilesystemEventStreamStore:
    return FilesystemEventStreamStore.open(ROOT, ROOMY, cast(Disk, disk), start_flusher=False)


@cache
def crashed(flushed: bool) -> SimulatedDisk:
    """Six records: 1 of all three streams, 2 of `one`, 3 of `two`, then the same again."""
    disk = SimulatedDisk(ROOT)
    store = opened(disk)
    store.commit([commit_of(key, 1, 2) for key in KEYS])
    store.flusher.flush()
    store.commit([commit_of(KEYS[0], 3, 1)])
    store.commit([commit_of(KEYS[1], 3, 1)])
    store.commit([commit_of(KEYS[0], 4, 2), commit_of(KEYS[1], 4, 1)])
    store.commit([commit_of(KEYS[0], 6, 1)])
    store.commit([commit_of(KEYS[2], 3, 1)])
    if flushed:
        store.flusher.flush()
    disk.crash("process")
    return disk


LAST = dict(zip(KEYS, (6, 4, 3), strict=True))


def damaged(flushed: bool, lsn: int, at: int, bits: bytes) -> SimulatedDisk:
    """The disk with bytes of record `lsn` changed, `at` counted from its head."""
    disk = deepcopy(crashed(flushed))
    data = bytearray(disk.read_file(LOG) or b"")
    start = next(place for place, head in record.heads_in(bytes(data), 0) if head.lsn == lsn)
    for n, bit in enumerate(bits):
        data[start + at + n] ^= bit
    disk.damage(LOG, bytes(data))
    return disk


def lines_in(store: FilesystemEventStreamStore, key: str) -> list[bytes]:
    assert store._head(key).sequence == LAST[key]
    return list(store._read(key, 1, 100, 1 << 30))


def whole(key: str) -> list[bytes]:
    return commit_of(key, 1, LAST[key]).lines  # type: ignore[return-value]


PAYLOAD = 64 + 24 + len(KEYS[0]) + 3 + 4 + len(line_of(KEYS[0], 1)) - 25  # in the first text


@pytest.mark.parametrize("lsn", range(2, 7))
def test_one_flipped_bit_is_found_and_flipped_back(lsn: int) -> None:
    rng = random.Random(lsn)
    for at in rng.sample(range(330), 12):  # the head, the entry, the line
        store = opened(damaged(False, lsn, at, bytes([1 << rng.randrange(8)])))
        assert [lines_in(store, key) for key in KEYS] == [whole(key) for key in KEYS]
        assert len(store.recovery.salvaged) == 1


@pytest.mark.parametrize("lsn", range(1, 7))
def test_a_record_that_the_files_have_is_read_from_them(lsn: int) -> None:
    store = opened(damaged(True, lsn, PAYLOAD, b"\1\2\4\3"))
    assert [lines_in(store, key) for key in KEYS] == [whole(key) for key in KEYS]
    assert "the stream files" in store.recovery.salvaged[0]


def test_what_cannot_be_repaired_costs_its_stream_and_no_other() -> None:
    disk = damaged(False, 2, PAYLOAD, b"\1\2")
    for again in range(3):  # and after each start
        store = opened(disk)
        with pytest.raises(StoreCorrupt, match="events 3 to 3 are damaged in the log"):
            store._head(KEYS[0])
        assert lines_in(store, KEYS[1]) == whole(KEYS[1])
        goes_on = commit_of(KEYS[2], 1, LAST[KEYS[2]] + again).lines
        assert store._read(KEYS[2], 1, 100, 1 << 30) == goes_on
        store.commit([commit_of(KEYS[2], len(goes_on) + 1, 1)])
        store.close()
    kept = b"".join(
        disk.read_file(path) or b"" for path in disk.files() if "one!events.jsonl" in path.name
    )
    assert kept == b"".join(line_of(KEYS[0], n) + b"\n" for n in (4, 5, 6))


def test_a_record_of_who_knows_which_streams_keeps_the_root_closed() -> None:
    for at in (64 + 20, 64 + 2, 64 + 24 + 18):  # a count, the length of a key, a key
        with pytest.raises(StoreCorrupt):
            opened(damaged(False, 2, at, b"\3\3"))


def test_an_unproven_flip_is_never_taken() -> None:
    chain = bytes(32)
    body = record.encode_entries([commit_of(KEYS[0], 1, 1)])
    head = record.RecordHead(1, len(body), 1, record.next_chain(chain, 1, 1, body))
    for bit in (0, 77, 8 * len(body) - 1):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        assert unflipped(head, chain, bytes(flipped)) == body
        flipped[(bit // 8 + 5) % len(body)] ^= 2
        assert unflipped(head, chain, bytes(flipped)) is None
    assert unflipped(head, b"\1" * 32, body) is None
    assert salvage(b"", 0, 0, chain, None) is None  # type: ignore[arg-type]


def test_doctor_names_the_stream_and_lets_go_of_it_when_it_is_told_to(tmp_path: Path) -> None:
    disk = damaged(False, 2, PAYLOAD, b"\1\2")
    for path in disk.files():
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(disk.read_file(path) or b"")
    for _ in range(2):
        found = [one for one in examine(tmp_path, ROOMY, Disk()) if one.verdict == "damaged"]
        assert [one.what for one in found] == [KEYS[0]]
        assert "2 of 6 events are there" in found[0].detail
    found = [one for one in examine(tmp_path, ROOMY, Disk(), [KEYS[0]]) if one.verdict != "ok"]
    assert [(one.verdict, one.what) for one in found] == [("mended", KEYS[0])]
    assert all(one.verdict == "ok" for one in examine(tmp_path, ROOMY, Disk()))
    store = FilesystemEventStreamStore.open(tmp_path, ROOMY)
    assert store._head(KEYS[0]).sequence == 2
    store.close()


def test_a_stream_whose_events_are_lost_never_comes_back_shorter() -> None:
    """Its files end early and agree with each other; only the log knew more, and is gone."""
    disk = SimulatedDisk(ROOT)
    store = opened(disk)
    store.commit([commit_of(KEYS[0], 1, 1)])
    store.flusher.flush()
    store.flusher.checkpoint()
    store.commit([commit_of(KEYS[0], 2, 1)])
    store.close()
    before = {path: disk.read_file(path) or b"" for path in disk.files()}
    store = opened(disk)
    store.commit([commit_of(KEYS[0], 3, 2)])
    disk.crash("process")
    for name in ("events.jsonl", "events.idx"):  # restored from too old a copy
        path = ROOT / KEYS[0] / name
        data = before[path]
        disk.damage(path, data[: len(line_of(KEYS[0], 1)) + 1] if "json" in name else data[:128])
    for _ in range(3):
        store = opened(disk)
        with pytest.raises(StoreCorrupt, match="lost"):
            store._head(KEYS[0])
        store.close()
