"""The spare segment: the next segment of the log, written all over before it is needed.

Job: have it in the background, out of a segment the log has dropped, or new and filled with zeros;
hand it to the log when that goes on to another segment.
Why: a durable write into space that was only allocated also has to note that the space is in use
now, which took 320 us where a write over zeros took 165 (22 KB at a time, docs/PERFORMANCE.md); and
every byte filled is a byte the disk could have taken from a commit.
Rules: what a dropped segment held stays in it, but for its head, which is emptied first: its
records are older than any the log will write into it, by which log_scan.py knows them. Only a log
in use gets one; without it, or without space for it, the log goes on as it did,
in space allocated at that moment. A crash leaves `spare.new` behind, which the next open removes.
The flusher's thread makes it, the writer's takes it; each hands over by one assignment.
"""

from __future__ import annotations

import logging
from pathlib import Path

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.record import HEAD_BYTES

SPARE_FILE = "spare.new"
PIECE_BYTES = 256 * 1024
USED_SHARE = 64  # a log that has used so little of an unfilled segment needs no spare
log = logging.getLogger(__name__)


class SpareSegment:
    def __init__(self, folder: Path, disk: Disk, segment_bytes: int) -> None:
        self._folder = folder
        self._path = folder / SPARE_FILE
        self._disk = disk
        self._bytes = segment_bytes
        self._fd: int | None = None
        self._gave_up = False

    @property
    def is_ready(self) -> bool:
        return self._fd is not None

    def is_wanted(self, used: int, size: int, *, filled: bool) -> bool:
        """Whether the log, at byte `used` of its last segment, should have one."""
        if self._fd is not None or self._gave_up:
            return False
        return used > size // 2 if filled else used > size // USED_SHARE

    def make(self) -> None:
        """Fill a new one. Blocks for a tenth of a second; not being able to is no failure."""
        fd = -1
        try:
            fd = self._disk.open(self._path, create=True, exclusive=True)
            self._disk.truncate(fd, 0)
            self._disk.allocate(fd, self._bytes)
            zeros = bytes(min(PIECE_BYTES, self._bytes))
            for at in range(0, self._bytes, len(zeros)):
                self._disk.write_durably(fd, zeros[: self._bytes - at], at)
            self._disk.sync(fd)
        except OSError as error:
            log.info("no spare segment: %s", error)
            self._gave_up = True  # until the log has gone on
            if fd >= 0:
                self._disk.close(fd)
                self._remove()
        else:
            self._fd = fd

    def recycle(self, path: Path) -> bool:
        """Take over a segment that is needed no more. False: it is still there, to be removed."""
        if self._fd is not None:
            return False
        fd = -1
        try:
            self._disk.rename(path, self._path)
            self._disk.sync_directory(self._folder)  # else its head might be empty under that name
            fd = self._disk.open(self._path)
            self._disk.write(fd, bytes(HEAD_BYTES), 0)
            self._disk.sync(fd)
        except OSError as error:
            log.info("a dropped segment is no spare: %s", error)
            if fd >= 0:
                self._disk.close(fd)
            self._remove()
            return not self._disk.exists(path)
        self._fd = fd
        return True

    def take(self, size: int, path: Path) -> int | None:
        """The spare under the name it is to have; None when there is none of that size."""
        self._gave_up = False
        if self._fd is None or size > self._bytes:
            return None
        fd = self._fd
        try:
            self._disk.rename(self._path, path)
        except OSError:
            self._disk.close(fd)
            raise
        finally:
            self._fd = None  # not before: the next one is made under the name this one still had
        return fd

    def close(self) -> None:
        if self._fd is not None:
            self._disk.close(self._fd)
            self._fd = None
        self._remove()

    def _remove(self) -> None:
        try:
            if self._disk.exists(self._path):
                self._disk.unlink(self._path)
        except OSError as error:
            log.warning("%s stays: %s", self._path, error)
