"""The write-ahead commit log of a root: where an event is when it is acknowledged.

Job: append one record per group commit and make it durable with one system call; drop segments
that the stream files have made superfluous.
Rules:
- A segment is allocated in full before it is used, so an append never grows a file: two device
  writes instead of three, and running out of space is met at rotation, before anything is written.
  A busy log writes over segments it has dropped, or gets them filled with zeros (spare.py).
- A failed write or sync is final for this object (`fsync` is not retried: the kernel has marked the
  pages clean). Whoever owns the log closes it and opens it again.
- `seal` (64 bytes beside the segments, written after each commit and never waited for) names the
  last durable record. It tells a torn tail from a damaged last record: a sealed record that cannot
  be read is damage. After a power cut the seal may be older than the log, never newer.
- What is there when a root is opened is read by log_scan.py. Layout of the bytes: record.py.
Source: DESIGN decision 5. Refused: one file per stream as the durable place (7 to 45 thousand
events a second on a disk that takes 400 thousand this way), O_DSYNC, io_uring, O_DIRECT.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from eventspine.adapters.filesystem.disk import NO_SPACE, Disk
from eventspine.adapters.filesystem.log import record
from eventspine.adapters.filesystem.log.seal import SEAL_FILE, Seal, encode_seal
from eventspine.adapters.filesystem.log.spare import SpareSegments
from eventspine.contracts.errors import StoreFull
from eventspine.contracts.express import Device
from eventspine.contracts.stores import StreamCommit

LOG_FOLDER = "commit_log"
log = logging.getLogger(__name__)


class Segment(NamedTuple):
    path: Path
    first_lsn: int
    is_filled: bool = False  # written all over and of the usual size: worth keeping


def segment_name(first_lsn: int) -> str:
    return f"{first_lsn:016d}.log"


class CommitLog:
    """An open log. Made by log_scan.continue_log; it is written to in one place at a time."""

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        segment_bytes: int,
        lsn: int,
        chain: bytes,
        older: list[Segment],
    ) -> None:
        self.folder = folder
        self.lsn = lsn
        self.syncs = 0
        self.bytes = 0
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._chain = chain
        self._segments = older
        self._spares = SpareSegments(folder, disk, segment_bytes)
        self._fd = -1
        self._at = self._size = 0
        self._filled = False  # with zeros, not only allocated
        self._flying = Seal(lsn, chain), 0  # of a record on a device, and its size
        self._seal_fd = disk.open(folder / SEAL_FILE, create=True)

    # --- writing ---

    def append(self, batch: Sequence[StreamCommit]) -> int:
        """Make a batch durable as one record; answers its lsn.

        Raises:
            StoreFull: no room for another segment. Nothing was written; later calls may work.
            OSError: the outcome is unknown and this object is spent.
        """
        data = record.encode_entries(batch)
        lsn = self.lsn + 1
        chain = record.next_chain(self._chain, lsn, len(batch), data)
        whole = record.encode_record(lsn, len(batch), data, chain)
        if self._at + len(whole) > self._size or (self._spares and not self._filled):
            self._rotate(lsn, len(whole))
        seal = encode_seal(Seal(lsn, chain))
        code = self._disk.write_sealed(self._fd, whole, self._at, self._seal_fd, seal)
        return self._counted(lsn, chain, len(whole), code)

    def begin(self, batch: Sequence[StreamCommit], device: Device) -> bool:
        """As `append`, on a device, if the record fits into this segment; `landed` follows it."""
        data = record.encode_entries(batch)
        end = self._at + record.RECORD_HEAD_BYTES + len(data)
        if end > self._size or (self._spares and not self._filled):
            return False
        lsn = self.lsn + 1
        chain = record.next_chain(self._chain, lsn, len(batch), data)
        whole = record.encode_record(lsn, len(batch), data, chain)
        self._flying = Seal(lsn, chain), len(whole)
        device.begin(self._fd, whole, self._at, self._seal_fd, encode_seal(self._flying[0]))
        return True

    def landed(self, code: int, seal_code: int) -> int:
        """What was begun is durable, or has failed with an errno. As `append`."""
        if code:
            raise OSError(code, os.strerror(code))
        (lsn, chain), size = self._flying
        return self._counted(lsn, chain, size, seal_code)

    def _counted(self, lsn: int, chain: bytes, size: int, seal_code: int) -> int:
        self._at += size
        self.lsn, self._chain = lsn, chain
        self.syncs += 1
        self.bytes += size
        if seal_code:  # the record is durable: not being able to say so is no failure of it
            log.warning("%s cannot be written: %s", self.folder / SEAL_FILE, os.strerror(seal_code))
        return lsn

    def _rotate(self, first_lsn: int, need: int) -> None:
        """Go on in a new segment, allocated and durable in its folder before it is used."""
        path = self.folder / segment_name(first_lsn)
        size = max(self._segment_bytes, need + record.HEAD_BYTES)
        try:
            fd = self._spares.take(size, path)
            filled = fd is not None
            fd = self._allocated(path, size) if fd is None else fd
        except OSError as error:
            if error.errno in NO_SPACE:
                raise StoreFull("no space for another log segment", retry_after_s=5) from error
            raise
        if self._segments and self._segments[-1].path == path:
            self._segments.pop()  # made just before a crash, and empty
        try:
            self._disk.write(fd, record.encode_head(first_lsn, self._chain), 0)
            self._disk.sync(fd)
            self._disk.sync_directory(self.folder)
        except OSError:
            self._disk.close(fd)
            raise
        if self._fd >= 0:
            self._disk.close(self._fd)
        self._fd, self._at, self._size, self._filled = fd, record.HEAD_BYTES, size, filled
        self._segments.append(Segment(path, first_lsn, filled and size == self._segment_bytes))

    def _allocated(self, path: Path, size: int) -> int:
        draft = path.with_suffix(".new")
        fd = self._disk.open(draft, create=True)
        try:
            self._disk.truncate(fd, 0)
            self._disk.allocate(fd, size)
            self._disk.rename(draft, path)
        except OSError:
            self._disk.close(fd)
            if self._disk.exists(draft):
                self._disk.unlink(draft)
            raise
        return fd

    def prepare(self) -> None:
        """Have the next segment ready before it is needed. On the flusher's thread."""
        if self._spares.is_wanted(self._at, self._size, filled=self._filled):
            self._spares.make()

    # --- forgetting ---

    @property
    def seal(self) -> Seal:
        """Where the log stands: its last record, which is durable."""
        return Seal(self.lsn, self._chain)

    @property
    def segments(self) -> int:
        return len(self._segments)

    @property
    def spares_failed(self) -> int:
        """How often the disk failed, or was full, making a spare segment: no event was at stake."""
        return self._spares.failed

    def drop_through(self, lsn: int) -> int:
        """Remove segments whose every record is at or before `lsn`. Never the last segment."""
        dropped = 0
        while len(self._segments) > 1 and self._segments[1].first_lsn <= lsn + 1:
            segment = self._segments.pop(0)
            if not (segment.is_filled and self._spares.recycle(segment.path)):
                self._disk.unlink(segment.path)
            dropped += 1
        return dropped

    def drop_all(self) -> None:
        """Remove every segment: the stream files hold everything, and a checkpoint says so."""
        if self._fd >= 0:
            self._disk.close(self._fd)
            self._fd, self._at, self._size = -1, 0, 0
        while self._segments:
            self._disk.unlink(self._segments.pop().path)

    def close(self) -> None:
        self._spares.close()
        if self._fd >= 0:
            self._disk.close(self._fd)
            self._fd = -1
        if self._seal_fd >= 0:
            self._disk.close(self._seal_fd)
            self._seal_fd = -1
