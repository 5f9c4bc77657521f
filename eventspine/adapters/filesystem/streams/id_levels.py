"""The sorted files of the id index: `events.ids.0` … `events.ids.7`. Little-endian.

A stream that lies beside its siblings, `{name}.jsonl`, has `{name}.ids.0` …

    head   "ESIDS\x00\x00\x01" | epoch u64 | first u64 | last u64 | count u64
           | crc32 of the words u32 | zeros 16 | crc32 of these u32
    word   u64: 30 bits of the id's fingerprint, then 34 bits of its sequence; ascending

A file covers the sequences `first` … `last`. Level n holds at most 512 * 16^(n+1) words. Files are
replaced as a whole and can be made again from events.jsonl; one of another epoch is ignored.

Sample, one word: fingerprint 0x2aaaaaaa, sequence 5: 05000000a8aaaaaa
"""

from __future__ import annotations

import mmap
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from eventspine.adapters.filesystem.disk import Disk

SEQUENCE_BITS = 34
SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1
HEAD_BYTES = 64
CHUNK_WORDS = 8192
_MAGIC = b"ESIDS\x00\x00\x01"
_head = struct.Struct("<8sQQQQI16x")
_u32 = struct.Struct("<I")


def fingerprint(event_id: str) -> int:
    """30 bits that stand for an id."""
    digest = blake2b(event_id.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 2


def word(event_id: str, sequence: int) -> int:
    return fingerprint(event_id) << SEQUENCE_BITS | sequence


class Level(NamedTuple):
    """One sorted file. `words` is a view of it; sequences `first` … `last` are covered."""

    first: int
    last: int
    words: Sequence[int]
    map: mmap.mmap | None

    def find(self, low: int, high: int) -> Iterable[int]:
        at = bisect_left(self.words, low)
        while at < len(self.words) and self.words[at] < high:
            yield self.words[at] & SEQUENCE_MASK
            at += 1

    def close(self) -> None:
        if self.map is not None:
            self.words.release()  # type: ignore[attr-defined]
            self.map.close()


def level_path(folder: Path, n: int, name: str = "events") -> Path:
    return folder / f"{name}.ids.{n}"


def read_level(path: Path, epoch: int, disk: Disk) -> Level | None:
    """A level file, or None when there is none of this epoch that is whole."""
    view = disk.map(path)
    if view is None:
        return None
    head = view[:HEAD_BYTES]
    if len(head) == HEAD_BYTES and _u32.unpack_from(head, 60)[0] == crc32(head[:60]):
        magic, its_epoch, first, last, count, crc = _head.unpack_from(head)
        whole = magic == _MAGIC and len(view) == HEAD_BYTES + 8 * count
        if whole and its_epoch == epoch and _crc_of(view) == crc:
            return Level(first, last, memoryview(view)[HEAD_BYTES:].cast("Q"), view)
    view.close()
    return None


def _crc_of(view: mmap.mmap) -> int:
    """CRC-32 of the words, piece by piece: a flipped bit would hide an id that was used."""
    crc = 0
    for at in range(HEAD_BYTES, len(view), 1 << 20):
        crc = crc32(view[at : at + (1 << 20)], crc)
    return crc


def write_level(
    path: Path,
    epoch: int,
    first: int,
    last: int,
    older: Sequence[int],
    newer: Sequence[int],
    disk: Disk,
) -> Level:
    """Merge two sorted runs of words into one file, in pieces, and open it.

    Raises FileNotFoundError also when it is gone again: the stream was deleted meanwhile.
    """
    draft = path.with_name(f"{path.name}.new")
    fd = disk.open(draft, create=True)
    try:
        disk.truncate(fd, 0)
        at, crc = HEAD_BYTES, 0
        for piece in merged(older, newer):
            data = piece.tobytes()
            disk.write(fd, data, at)
            at, crc = at + len(data), crc32(data, crc)
        body = _head.pack(_MAGIC, epoch, first, last, len(older) + len(newer), crc)
        disk.write(fd, body + _u32.pack(crc32(body)), 0)
        disk.sync(fd)
    finally:
        disk.close(fd)
    disk.rename(draft, path)
    disk.sync_directory(path.parent)
    level = read_level(path, epoch, disk)
    if level is None:
        raise FileNotFoundError(f"{path} was removed while it was written")
    return level


def merged(older: Sequence[int], newer: Sequence[int]) -> Iterator[array[int]]:
    """Both runs as one, in pieces small enough that no other thread waits long for the next."""
    start = 0
    for at in range(0, len(older), CHUNK_WORDS):
        piece = list(older[at : at + CHUNK_WORDS])
        end = bisect_left(newer, piece[-1], start)
        piece.extend(newer[start:end])
        piece.sort()
        start = end
        yield array("Q", piece)
    yield array("Q", newer[start:])
