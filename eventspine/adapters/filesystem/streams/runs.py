"""The index beside a stream's events: `events.idx`. Little-endian, entries of 64 bytes.

    head      "ESIDX\\x00\\x00\\x01" | epoch u64 | mode bytes u8, mode 31 | flags u8 | zeros 11
              | crc32 u32                                                                     = 64
    entry     first sequence u64 | offset u64 | length u32 | count u24, flags u8 | crc32 of the
              run u32 | chain 32 | crc32 of the entry u32                                       = 64

A run is a stretch of whole lines of `events.jsonl`, written at once: at most 32 KiB or 256 events,
one event at least. Entries lie in order and leave no gap, so the entry of a sequence is found by
searching, a page reads only its runs, and every byte served has been checked. `chain` is SHA-256
over the chain before and the run's bytes (the head's is 32 zeros): the last entry vouches for the
whole stream. An entry with flag CLOSED and count 0 ends a stream; the head says so too, after it,
so that an index that lost its last entry is not taken for an open stream's. A head without
entries and without an events.jsonl is what a deleted stream leaves: the next one has this epoch.

Sample, the first run of a stream, 2 events in 410 bytes:

    0100000000000000 0000000000000000 9a010000 020000 00 crc32... chain(32) crc32...
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

from eventspine.adapters.filesystem.sums import crc32_of, sha256_of
from eventspine.contracts.ids import MODE_BYTES_MAX

ENTRY_BYTES = 64
HEAD_BYTES = 64
RUN_BYTES_MAX = 32 * 1024
RUN_EVENTS_MAX = 256
CLOSED = 1
GENESIS = bytes(32)

_MAGIC = b"ESIDX\x00\x00\x01"
_head = struct.Struct("<8sQB31sB11x")
_entry = struct.Struct("<QQIII32s")
_u32 = struct.Struct("<I")


class IndexHead(NamedTuple):
    epoch: int
    mode: str | None
    closed: bool = False


class Run(NamedTuple):
    first: int
    offset: int
    length: int
    events: int
    flags: int
    crc: int
    chain: bytes

    @property
    def last(self) -> int:
        return self.first + self.events - 1

    @property
    def end(self) -> int:
        return self.offset + self.length

    def holds(self, data: bytes | memoryview) -> bool:
        """Whether these are the run's bytes."""
        return len(data) == self.length and crc32_of(data) == self.crc


def encode_head(head: IndexHead) -> bytes:
    mode = (head.mode or "").encode()
    assert len(mode) <= MODE_BYTES_MAX, "contracts.ids.checked_mode lets no longer one pass"
    body = _head.pack(_MAGIC, head.epoch, len(mode), mode, CLOSED if head.closed else 0)
    return body + _u32.pack(crc32(body))


def decode_head(data: bytes) -> IndexHead | None:
    if len(data) < HEAD_BYTES or _u32.unpack_from(data, 60)[0] != crc32(data[:60]):
        return None
    magic, epoch, size, mode, flags = _head.unpack_from(data)
    if magic != _MAGIC:
        return None
    return IndexHead(epoch, mode[:size].decode() or None, bool(flags & CLOSED))


def encode_run(run: Run) -> bytes:
    body = _entry.pack(
        run.first, run.offset, run.length, run.events | run.flags << 24, run.crc, run.chain
    )
    return body + _u32.pack(crc32(body))


def decode_run(data: bytes) -> Run | None:
    """One entry, or None when it is not whole."""
    if len(data) < ENTRY_BYTES or _u32.unpack_from(data, 60)[0] != crc32(data[:60]):
        return None
    first, offset, length, count, crc, chain = _entry.unpack_from(data)
    return Run(first, offset, length, count & 0xFFFFFF, count >> 24, crc, chain)


def decode_runs(data: bytes) -> Iterator[Run | None]:
    for at in range(0, len(data) - ENTRY_BYTES + 1, ENTRY_BYTES):
        yield decode_run(data[at : at + ENTRY_BYTES])


def make_runs(
    lines: Sequence[bytes], first: int, offset: int, chain: bytes
) -> tuple[list[bytes], list[Run]]:
    """Cut lines into runs that go on at `offset` of events.jsonl: their bytes, their entries."""
    pieces: list[bytes] = []
    runs: list[Run] = []
    if 0 < len(lines) <= RUN_EVENTS_MAX:  # nearly always it is one run: so without counting
        piece = b"\n".join((*lines, b""))
        if len(piece) <= RUN_BYTES_MAX:
            chain, crc = sha256_of(chain, piece), crc32_of(piece)
            return [piece], [Run(first, offset, len(piece), len(lines), 0, crc, chain)]
    start = 0
    while start < len(lines):
        size, end = len(lines[start]) + 1, start + 1
        while end < len(lines) and end - start < RUN_EVENTS_MAX:
            more = len(lines[end]) + 1
            if size + more > RUN_BYTES_MAX:
                break
            size, end = size + more, end + 1
        piece = b"\n".join(lines[start:end]) + b"\n"
        chain, crc = sha256_of(chain, piece), crc32_of(piece)
        runs.append(Run(first + start, offset, size, end - start, 0, crc, chain))
        pieces.append(piece)
        offset, start = offset + size, end
    return pieces, runs


def closing_run(first: int, offset: int, chain: bytes) -> Run:
    return Run(first, offset, 0, 0, CLOSED, 0, chain)
