"""Reading a commit log back, and deciding where it ends.

A record that cannot be read is one of three things. The end: nothing behind it but zeros, or what
a segment written for the second time held before: records with numbers the log has passed. A torn
tail: never acknowledged, and cut. Damage: a later record is whole, or the seal or the checkpoint
says that it was durable; it is quarantined, and never skipped: salvage.py repairs it, or says which
streams it touches, or nobody can, and the root does not open. What a killed process left in the
page cache is made durable before it is believed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.log import record
from eventspine.adapters.filesystem.log.commit_log import CommitLog, Segment
from eventspine.adapters.filesystem.log.record import RecordHead
from eventspine.adapters.filesystem.log.salvage import (
    Copies,
    Salvaged,
    mended_segment_head,
    salvage,
)
from eventspine.adapters.filesystem.log.seal import CHECKPOINT_FILE, SEAL_FILE, Seal, decode_seal
from eventspine.adapters.filesystem.quarantine import Quarantine, Refused
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.stores import StreamCommit

log = logging.getLogger(__name__)


class LogScan:
    """Reads a log record by record and ends where the log ends. See `commits`.

    `start` is where the log stood when it was last complete in the stream files: the checkpoint.
    Segments behind it that a power cut has brought back are passed over. A checkpoint that cannot
    be read costs nothing: the first segment's head, or the seal, says as much.
    """

    def __init__(self, folder: Path, disk: Disk, quarantine: Quarantine, copies: Copies) -> None:
        self.folder = folder
        self.salvaged: list[str] = []
        self.lost: dict[str, Refused] = {}
        self._copies = copies
        self._seen: set[str] = set()
        self.records = 0
        self.torn: tuple[Path, int] | None = None
        self.torn_bytes = 0
        self._disk = disk
        self._quarantine = quarantine
        self.segments = [
            Segment(folder / name, int(name[:16]))
            for name in disk.names(folder)
            if name.endswith(".log") and name[:16].isdigit()
        ]
        self._seal = decode_seal(disk.read_file(folder / SEAL_FILE))
        checkpoint = disk.read_file(folder / CHECKPOINT_FILE)
        self.start = decode_seal(checkpoint)
        self._start_is_known = checkpoint is None or self.start != Seal()
        if not self._start_is_known and not self.segments:
            self.start = self._seal
        self.lsn, self.chain = self.start
        self.superseded: list[Segment] = []
        while len(self.segments) > 1 and self.segments[1].first_lsn <= self.start.lsn + 1:
            self.superseded.append(self.segments.pop(0))
        self._make_durable()

    def _make_durable(self) -> None:
        """What a killed process left in the page cache must not be served and then be lost."""
        for segment in self.segments:
            fd = self._disk.open(segment.path)
            try:
                self._disk.sync(fd)
            finally:
                self._disk.close(fd)
        self._disk.sync_directory(self.folder)

    def commits(self) -> Iterator[tuple[int, list[StreamCommit]]]:
        """Every record as (lsn, commits), verified. Raises StoreCorrupt on damage."""
        for n, segment in enumerate(self.segments):
            data = self._disk.read_file(segment.path) or b""
            head = record.decode_head(data)
            last = n == len(self.segments) - 1
            unfinished = head is None and last and segment.first_lsn > self._seal.lsn
            if unfinished and not holds_record_from(data, 0, segment.first_lsn):
                self._cut(segment, 0, data)  # the crash came while it was being made
                return
            if head is None or head[0] != segment.first_lsn:
                head = self._segment_head(n, segment, data)
            if n == 0:
                self._begin(segment, *head)
            elif head != (self.lsn + 1, self.chain):
                self._damaged(segment, 0, f"the segment does not follow record {self.lsn}")
            yield from self._records(
                segment, data, None if last else self.segments[n + 1].first_lsn
            )
        if self.lsn < self.start.lsn:
            self.lsn, self.chain = self.start  # a power cut brought back only what was dropped
        if self._seal.lsn > self.lsn:
            self._lost(f"the log was durable up to record {self._seal.lsn}, not {self.lsn}")

    def _begin(self, segment: Segment, first_lsn: int, chain: bytes) -> None:
        if first_lsn > self.start.lsn + 1 and self._start_is_known:
            self._damaged(segment, 0, f"the records after {self.start.lsn} are missing before it")
        self.lsn, self.chain = first_lsn - 1, chain

    def _records(
        self, segment: Segment, data: bytes, behind: int | None
    ) -> Iterator[tuple[int, list[StreamCommit]]]:
        at = record.HEAD_BYTES
        while at < len(data):
            read = record_at(data, at, self.lsn, self.chain)
            if read is not None:
                head, body = read
                commits = record.decode_entries(body, head.entries)
            else:
                found = self._end(segment, data, at, behind)
                if found is None:
                    return
                head, commits = found.head, found.commits
            self.lsn, self.chain = head.lsn, head.chain
            self.records += 1
            self._seen.update([commit.key for commit in commits])
            yield head.lsn, commits
            at += record.RECORD_HEAD_BYTES + head.length

    def _end(self, segment: Segment, data: bytes, at: int, behind: int | None) -> Salvaged | None:
        """Here the readable records end: the end of the log, a torn tail (None), or damage."""
        why = damage_at(data, at, self.lsn, max(self.lsn, self.start.lsn), self._seal.lsn, behind)
        if why:
            return self._salvage(segment, data, at, why)
        if behind is None and data[at:].strip(b"\0"):
            self._cut(segment, at, data)
        return None

    def _salvage(self, segment: Segment, data: bytes, at: int, why: str) -> Salvaged:
        found = salvage(data, at, self.lsn, self.chain, self._copies, self._seen)
        if found is None:
            self._damaged(segment, at, why)
        self._tell(segment, f"record {found.head.lsn} was damaged: {found.how}")
        for key, first, through in found.lost:
            what = f"events {first} to {through} are damaged in the log"
            self.lost.setdefault(key, Refused(key, what, through))
        return found

    def _segment_head(self, n: int, segment: Segment, data: bytes) -> tuple[int, bytes]:
        """A damaged head: what it said follows from the segment before, or from all but one bit."""
        follows = n > 0 and segment.first_lsn == self.lsn + 1
        head = (self.lsn + 1, self.chain) if follows else mended_segment_head(data)
        if head is None or head[0] != segment.first_lsn:
            self._damaged(segment, 0, "the segment's head cannot be read")
        self._tell(segment, "its head was damaged, and says what it must")
        return head

    def _tell(self, segment: Segment, what: str) -> None:
        kept = self._quarantine.copy(segment.path)
        self.salvaged.append(f"{segment.path.name}: {what}; a copy is {kept}")
        log.warning("%s", self.salvaged[-1])

    def _cut(self, segment: Segment, at: int, data: bytes) -> None:
        self.torn = (segment.path, at)
        self.torn_bytes = torn_bytes(data, at, self.lsn)

    def _lost(self, why: str) -> None:
        raise StoreCorrupt(f"{self.folder}: {why}", path=str(self.folder), found=why)

    def _damaged(self, segment: Segment, at: int, why: str) -> NoReturn:
        kept = self._quarantine.copy(segment.path)
        raise StoreCorrupt(
            f"{segment.path.name} cannot be read from byte {at} on, and {why}; a copy is {kept}",
            path=str(segment.path),
            found=why,
            offset=at,
        )


def record_at(data: bytes, at: int, lsn: int, chain: bytes) -> tuple[RecordHead, bytes] | None:
    """The record at `at` and its body, if it is whole and follows record `lsn` with that chain."""
    start = at + record.RECORD_HEAD_BYTES
    head = record.decode_record_head(data[at:start])
    if head is None or head.lsn != lsn + 1:
        return None
    body = data[start : start + head.length]
    if len(body) != head.length:
        return None
    proven = record.next_chain(chain, head.lsn, head.entries, body) == head.chain
    return (head, body) if proven else None


def holds_record_from(data: bytes, at: int, lsn: int) -> bool:
    """Whether the head of a record `lsn` or of a later one can be read at or after `at`."""
    return any(head.lsn >= lsn for _, head in record.heads_in(data, at))


def torn_bytes(data: bytes, at: int, lsn: int) -> int:
    """How much of a record behind record `lsn` got as far as the disk, as far as one can tell."""
    head = record.decode_record_head(data[at : at + record.RECORD_HEAD_BYTES])
    if head is not None and head.lsn == lsn + 1:
        return min(record.RECORD_HEAD_BYTES + head.length, len(data) - at)
    is_written_over = any(record.heads_in(data, at))
    return 0 if is_written_over else len(data[at:].rstrip(b"\0"))


def damage_at(data: bytes, at: int, lsn: int, durable: int, sealed: int, behind: int | None) -> str:
    """Why what cannot be read at `at`, behind record `lsn`, is damage; empty if it is an end.

    Args:
        durable: the last record that is known to be durable by what was read so far.
        sealed: the last record the seal names.
        behind: the first record of the segment behind this one; None if there is none.
    """
    if holds_record_from(data, at + 1, lsn + 1):
        return "a later record is whole"
    if behind is None and sealed > durable:
        return f"the log is sealed up to record {sealed}"
    if behind is not None and behind > lsn + 1:
        return f"a later segment begins with record {behind}"
    return ""


def continue_log(scan: LogScan, disk: Disk, segment_bytes: int) -> CommitLog:
    """The log behind a finished scan, open for appending.

    Writing goes on in a new segment: what recovery has read is never written again. A torn tail is
    zeroed first and made durable, so that no later scan can read it another way.
    """
    if scan.torn is not None:
        path, at = scan.torn
        if at == 0:
            disk.unlink(path)
            scan.segments = [segment for segment in scan.segments if segment.path != path]
        else:
            fd = disk.open(path)
            try:
                disk.truncate(fd, at)
                disk.sync(fd)
            finally:
                disk.close(fd)
    for name in disk.names(scan.folder):
        if name.endswith(".new"):
            disk.unlink(scan.folder / name)
    disk.sync_directory(scan.folder)
    older = [*scan.superseded, *scan.segments]
    return CommitLog(scan.folder, disk, segment_bytes, scan.lsn, scan.chain, older)
