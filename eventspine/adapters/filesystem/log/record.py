"""The bytes of the commit log. Little-endian; every offset in a segment is in bytes.

    segment   commit_log/0000000000000001.log: a head, then records, then zeros
    head      "ESLOG\\x00\\x00\\x01" | first lsn u64 | zeros 12 | chain before 32 | crc32 u32 = 64
    record    "ESCR" | crc32 of the next 24+32 bytes u32 | lsn u64 | length u32 | entries u32
              | zeros 8 | chain 32                                                            = 64
              then `length` bytes of entries
    entry     kind u8 | mode bytes u8 | key bytes u16 | epoch u32 | first sequence u64
              | lines u32 | key | mode | then each line: length u32, bytes

`kind` is 1 for events, 2 for a close, 3 for a delete; 4 for the bytes of a blob: `key` is then its
folder and name, its lines are the bytes in pieces, mode, epoch and sequence are empty.

One record is one group commit. Its lsn (log sequence number) is one more than the record's before.
`chain` is SHA-256 over the chain before, lsn, length, entries and the entry bytes, so a record is
whole or it is not, and the last one vouches for all. A record is written only after the one
before it is on the disk: if record n+1 can be read, a broken record n is damage, never a torn
tail. Refused: a CRC over the entries; the chain already says it.

Sample, an event of 11 bytes appended to an empty log (head of the record, then its one entry):

    45534352 crc32... 0100000000000000 3f000000 01000000 0000000000000000 chain(32)
    01 03 0020 01000000 0100000000000000 01000000 "event_stream/t_demo/dev/_/thread" "lab"
    0b000000 {"a":"bcd"}
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple
from zlib import crc32

from eventspine.adapters.filesystem.sums import sha256_of
from eventspine.contracts.stores import CommitKind, StreamCommit
from eventspine.native import core

HEAD_BYTES = 64
RECORD_HEAD_BYTES = 64
SEGMENT_MAGIC = b"ESLOG\x00\x00\x01"
RECORD_MAGIC = b"ESCR"
GENESIS = bytes(32)
_ZEROS = bytes(8)

_segment = struct.Struct("<8sQ12x32s")
_record = struct.Struct("<QII8x32s")
_sealed = struct.Struct("<QII")
_entry = struct.Struct("<BBHIQI")
_u32 = struct.Struct("<I")


class RecordHead(NamedTuple):
    lsn: int
    length: int
    entries: int
    chain: bytes


def encode_head(first_lsn: int, chain: bytes) -> bytes:
    body = _segment.pack(SEGMENT_MAGIC, first_lsn, chain)
    return body + _u32.pack(crc32(body))


def decode_head(data: bytes) -> tuple[int, bytes] | None:
    """First lsn of a segment and the chain before it; None when the head is not whole."""
    if len(data) < HEAD_BYTES or _u32.unpack_from(data, 60)[0] != crc32(data[:60]):
        return None
    magic, first_lsn, chain = _segment.unpack_from(data)
    return (first_lsn, chain) if magic == SEGMENT_MAGIC else None


def encode_entries(batch: Sequence[StreamCommit]) -> bytes:
    """The entries of a record, one for each commit."""
    if core is not None:
        try:
            compiled: bytes = core.encode_entries(batch)
        except OverflowError:
            pass  # what does not fit there is the reference's to write or to refuse
        else:
            return compiled
    return encode_entries_in_python(batch)


def encode_entries_in_python(batch: Sequence[StreamCommit]) -> bytes:
    parts: list[bytes] = []
    add = parts.append
    for commit in batch:
        key, mode, lines = commit.key.encode(), commit.mode.encode(), commit.lines
        add(
            _entry.pack(
                commit.kind,
                len(mode),
                len(key),
                commit.epoch,
                commit.first_sequence,
                len(lines),
            )
        )
        add(key)
        add(mode)
        for line in lines:
            add(_u32.pack(len(line)))
            add(line)
    return b"".join(parts)


def decode_entries(data: bytes, entries: int) -> list[StreamCommit]:
    """The commits of a record. Raises ValueError when they do not fill it exactly."""
    commits, at = [], 0
    for _ in range(entries):
        kind, mode_size, key_size, epoch, first, count = _entry.unpack_from(data, at)
        at += _entry.size
        key = data[at : at + key_size].decode()
        at += key_size
        mode = data[at : at + mode_size].decode()
        at += mode_size
        lines = []
        for _ in range(count):
            size = _u32.unpack_from(data, at)[0]
            lines.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        commits.append(StreamCommit(key, mode, epoch, first, lines, CommitKind(kind)))
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes left over in a record")
    return commits


def next_chain(chain: bytes, lsn: int, entries: int, data: bytes) -> bytes:
    return sha256_of(chain + _sealed.pack(lsn, len(data), entries), data)


def encode_record(lsn: int, entries: int, data: bytes, chain: bytes) -> bytes:
    """A whole record; `chain` is its own, see next_chain."""
    body = _record.pack(lsn, len(data), entries, chain)
    return b"".join((RECORD_MAGIC, _u32.pack(crc32(body)), body, data))


def decode_record_head(data: bytes) -> RecordHead | None:
    """The head of a record, or None when these bytes are not one."""
    if len(data) < RECORD_HEAD_BYTES or data[:4] != RECORD_MAGIC:
        return None
    if _u32.unpack_from(data, 4)[0] != crc32(data[8:RECORD_HEAD_BYTES]):
        return None
    if data[24:32] != _ZEROS:  # which no JSON can hold: a payload cannot pass for a record
        return None
    return RecordHead(*_record.unpack_from(data, 8))


def without_heads(data: bytes) -> list[bytes]:
    """Any bytes in pieces, as lines of an entry in which nobody can find the head of a record.

    Heads are looked for wherever a log cannot be read. No JSON holds one; other bytes may, and be
    made so on purpose. They are cut behind the first letter of every magic; the length of a piece,
    which comes between, would have to be 5 MB or more to be the rest of one.
    """
    cuts = [0]
    at = data.find(RECORD_MAGIC)
    while at >= 0:
        cuts.append(at + 1)
        at = data.find(RECORD_MAGIC, at + len(RECORD_MAGIC))
    if len(cuts) == 1:
        return [data]
    return [data[start:end] for start, end in pairwise([*cuts, len(data)])]


def heads_in(data: bytes, start: int) -> Iterator[tuple[int, RecordHead]]:
    """Every readable record head at or after `start`, whatever lies between them."""
    at = data.find(RECORD_MAGIC, start)
    while at >= 0:
        head = decode_record_head(data[at : at + RECORD_HEAD_BYTES])
        if head is not None:
            yield at, head
        at = data.find(RECORD_MAGIC, at + 1)
