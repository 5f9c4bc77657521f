"""What can be made of a damaged record of the commit log. Pure: bytes in, a verdict out.

Job: say what the record was, exactly, or which streams it touched; never guess.
Rules:
- Nothing counts as repaired but what the chain in the record's head vouches for (SHA-256). Tried
  are the bytes as they are (when the head alone was damaged), the lines as the stream files have
  them, and every flip of one bit.
- A record that cannot be repaired is given up for the streams in it whose lines no file has, and
  for no other. That needs to be sure which these are: every entry can be walked, has lines, lies
  under a key that is known and that its own lines name. Otherwise there is no verdict: an
  acknowledged event of who knows which stream may be in there, so the root stays closed.
- The bytes of a blob that no file has are given up without a word: what names them checks their
  size and their SHA-256, and lies in the same record.
Refused: skipping what cannot be read; taking a stream that no later record names for complete.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Sequence
from hashlib import sha256
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from eventspine.adapters.filesystem.log import record
from eventspine.adapters.filesystem.log.record import RECORD_HEAD_BYTES, RecordHead
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.ids import path_segment
from eventspine.contracts.stores import CommitKind, StreamCommit
from eventspine.contracts.wire import place_of_line

T = TypeVar("T")
_BLOB = re.compile(r"[a-z_]+/[^/]+/[^/]+/[^/]+/[^/]+/[0-9a-f]{32}\.new")
FLIPPED_BYTES_MAX = 16 * 1024  # a second of hashing; the cost grows with the square


class Copies(Protocol):
    """What the stream files know."""

    def lines(self, commit: StreamCommit) -> Sequence[bytes] | None:
        """The lines of a commit as its stream's files have them, checked; None if they do not."""

    def knows(self, key: str) -> bool:
        """Whether there is such a stream."""


class Salvaged(NamedTuple):
    """A record read in spite of its damage. `lost`: (key, first, last) given up; none if exact."""

    head: RecordHead
    commits: list[StreamCommit]
    lost: list[tuple[str, int, int]]
    how: str


def salvage(
    data: bytes, at: int, lsn: int, chain: bytes, copies: Copies, seen: Collection[str] = ()
) -> Salvaged | None:
    """The damaged record at `at`, which follows record `lsn` with that chain; None: no verdict.

    `seen`: keys that earlier records of the log name.
    """
    start = at + RECORD_HEAD_BYTES
    head = mended_head(data[at:start])
    if head is None or head.lsn != lsn + 1 or start + head.length > len(data):
        return None
    body = data[start : start + head.length]
    if proves(head, chain, body):
        return Salvaged(head, record.decode_entries(body, head.entries), [], "a bit of its head")
    walked = _walked(body, head.entries)
    known = [copies.lines(commit) for commit in walked] if walked is not None else []
    if walked is not None and any(lines is not None for lines in known):
        commits = [_with(commit, lines) for commit, lines in zip(walked, known, strict=True)]
        if proves(head, chain, record.encode_entries(commits)):
            return Salvaged(head, commits, [], "the stream files")
    mended = unflipped(head, chain, body) if len(body) <= FLIPPED_BYTES_MAX else None
    if mended is not None:
        return Salvaged(head, record.decode_entries(mended, head.entries), [], "one bit")
    if walked is None or not all(
        is_blob(one) or ((one.key in seen or copies.knows(one.key)) and is_consistent(one))
        for one in walked
    ):
        return None
    kept = [_with(one, lines) for one, lines in zip(walked, known, strict=True) if lines]
    lost = [
        (one.key, one.first_sequence, one.first_sequence + len(one.lines) - 1)
        for one, lines in zip(walked, known, strict=True)
        if not lines and not is_blob(one)
    ]
    return Salvaged(head, kept, lost, "what the stream files do not have is given up")


def proves(head: RecordHead, chain: bytes, body: bytes) -> bool:
    """Whether these are the bytes the record was sealed with."""
    return record.next_chain(chain, head.lsn, head.entries, body) == head.chain


def mended_head(data: bytes) -> RecordHead | None:
    """A record's head, read as it is or with any one bit flipped."""
    head = record.decode_record_head(data)
    if head is not None or len(data) < RECORD_HEAD_BYTES:
        return head
    return _one_bit(data, record.decode_record_head)


def mended_segment_head(data: bytes) -> tuple[int, bytes] | None:
    """A segment's head, read as it is or with any one bit flipped."""
    return record.decode_head(data) or _one_bit(data[: record.HEAD_BYTES], record.decode_head)


def _one_bit(data: bytes, decode: Callable[[bytes], T | None]) -> T | None:
    flipped = bytearray(data)
    for bit in range(8 * len(data)):
        flipped[bit // 8] ^= 1 << bit % 8
        found = decode(bytes(flipped))
        if found is not None:
            return found
        flipped[bit // 8] ^= 1 << bit % 8
    return None


def unflipped(head: RecordHead, chain: bytes, body: bytes) -> bytes | None:
    """The body with the one bit flipped that makes it what was sealed; None if there is none."""
    before = sha256(chain + struct.pack("<QII", head.lsn, len(body), head.entries))
    for at in range(len(body)):
        rest = body[at + 1 :]
        for bit in range(8):
            byte = bytes([body[at] ^ 1 << bit])
            trial = before.copy()
            trial.update(byte + rest)
            if trial.digest() == head.chain:
                return body[:at] + byte + rest
        before.update(body[at : at + 1])
    return None


def _walked(body: bytes, entries: int) -> list[StreamCommit] | None:
    try:
        return record.decode_entries(body, entries)
    except (ValueError, struct.error):  # UnicodeDecodeError is a ValueError
        return None


def _with(commit: StreamCommit, lines: Sequence[bytes] | None) -> StreamCommit:
    if lines is None:
        return commit
    one = commit
    return StreamCommit(one.key, one.mode, one.epoch, one.first_sequence, lines, one.kind)


def is_blob(commit: StreamCommit) -> bool:
    """Whether it is the bytes of a blob, under a name as only a draft has."""
    return commit.kind is CommitKind.BLOB and _BLOB.fullmatch(commit.key) is not None


def is_consistent(commit: StreamCommit) -> bool:
    """Whether the lines of an entry name its key, mode, epoch and sequences themselves."""
    parts = commit.key.split("/")
    if commit.kind is not CommitKind.EVENTS or not commit.lines or len(parts) != 5:
        return False
    for sequence, line in enumerate(commit.lines, commit.first_sequence):
        try:
            said = place_of_line(line)
            named = [said.routing["tenant_id"], said.routing["env"], said.stream_id]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
            return False
        if [path_segment(one) for one in named] != [parts[1], parts[2], parts[4]]:
            return False
        if said.cursor != str(Cursor(commit.epoch, sequence)) or said.sequence != sequence:
            return False
        if said.routing.get("mode") != commit.mode:
            return False
    return True
