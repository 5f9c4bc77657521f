"""Spare segments: what the log goes on in next, written all over before it is needed.

Job: have one in the background, out of a segment the log has dropped, or new and filled with zeros;
hand it to the log when that goes on to another segment.
Why: a durable write into space that was only allocated also has to note that the space is in use
now, which took 320 us where a write over zeros took 165 (22 KB at a time, docs/PERFORMANCE.md); and
every byte filled is a byte the disk could have taken from a commit.
Rules: what a dropped segment held stays in it, but for its head, which is emptied first: its
records are older than any the log will write into it, by which log_scan.py knows them. Only a log
in use gets one; without it, or without space for it, the log goes on as it did, in space allocated
at that moment. A disk that fails here has broken no promise: it is counted and logged, and what it
fails next is for the log to say. A crash leaves `spare.N.new` behind, which the next open removes.
The flusher's thread makes them, the writer's takes them. Each has a name of its own.
"""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.log.record import HEAD_BYTES

SPARES_MAX = 4
PIECE_BYTES = 256 * 1024
USED_SHARE = 64  # a log that has used so little of an unfilled segment needs no spare
log = logging.getLogger(__name__)


class SpareSegments:
    def __init__(self, folder: Path, disk: Disk, segment_bytes: int) -> None:
        self._folder = folder
        self._disk = disk
        self._bytes = segment_bytes
        self._ready: deque[tuple[int, Path]] = deque()
        self._made = 0
        self.failed = 0
        self._gave_up = False

    def __len__(self) -> int:
        return len(self._ready)

    def is_wanted(self, used: int, size: int, *, filled: bool) -> bool:
        """Whether the log, at byte `used` of its last segment, should have one."""
        if self._ready or self._gave_up:
            return False
        return used > size // 2 if filled else used > size // USED_SHARE

    def make(self) -> None:
        """Fill a new one. Blocks for a tenth of a second; not being able to is no failure."""
        fd, path = -1, self._new_path()
        try:
            fd = self._disk.open(path, create=True, exclusive=True)
            self._disk.allocate(fd, self._bytes)
            zeros = bytes(min(PIECE_BYTES, self._bytes))
            for at in range(0, self._bytes, len(zeros)):
                self._disk.write_durably(fd, zeros[: self._bytes - at], at)
            self._disk.sync(fd)
        except OSError as error:
            self.failed += 1
            log.warning("no spare segment: %s", error)
            self._gave_up = True  # until the log has gone on
            self._let_go(fd, path)
        else:
            self._ready.append((fd, path))

    def recycle(self, segment: Path) -> bool:
        """Take over a segment that is needed no more. False: it is still there, to be removed."""
        if len(self._ready) >= SPARES_MAX:
            return False
        fd, path = -1, self._new_path()
        try:
            self._disk.rename(segment, path)
            self._disk.sync_directory(self._folder)  # else its head might be empty under that name
            fd = self._disk.open(path)
            self._disk.write(fd, bytes(HEAD_BYTES), 0)
            self._disk.sync(fd)
        except OSError as error:
            self.failed += 1
            log.warning("a dropped segment is no spare: %s", error)
            self._let_go(fd, path)
            return not self._disk.exists(segment)
        self._ready.append((fd, path))
        return True

    def take(self, size: int, path: Path) -> int | None:
        """A spare under the name it is to have; None when there is none of that size."""
        self._gave_up = False
        if not self._ready or size > self._bytes:
            return None
        fd, spare = self._ready.popleft()
        try:
            self._disk.rename(spare, path)
        except OSError:
            self._disk.close(fd)
            raise
        return fd

    def close(self) -> None:
        while self._ready:
            self._let_go(*self._ready.popleft())

    def _new_path(self) -> Path:
        self._made += 1
        return self._folder / f"spare.{self._made}.new"

    def _let_go(self, fd: int, path: Path) -> None:
        try:
            if fd >= 0:
                self._disk.close(fd)
            if self._disk.exists(path):
                self._disk.unlink(path)
        except OSError as error:
            log.warning("%s stays: %s", path, error)
