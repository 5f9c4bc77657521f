"""A simulated disk with files that fail for good, as a bad sector makes them."""

from __future__ import annotations

import errno
import random
from pathlib import Path
from typing import Literal

from eventspine.testing.simulated_disk import SimulatedDisk, _File

Fault = Literal["read", "write", "sync"]


class BadSectors(SimulatedDisk):
    """Every read, write or sync of a file in `bad` raises EIO, for as long as it is in there.

    A sync that fails marks the file clean, as always. A sync of the whole file system fails with
    such a file only when something of it is to be written, and makes nothing else durable; with
    `bad_neighbour` it always fails, and it is a file of somebody else. On a `bad_device` every
    `sync_data` fails, of whatever file.
    """

    def __init__(self, root: Path, seed: int = 0) -> None:
        super().__init__(root, seed)
        self.bad: dict[Path, Fault] = {}
        self.bad_neighbour = self.bad_device = False
        self.errors = 0
        self._chance = random.Random(seed)

    def _check(self, file: _File, fault: Fault) -> None:
        for path, what in self.bad.items():
            if what == fault and self._names.get(path) is file:
                self.errors += 1
                raise OSError(errno.EIO, "a bad sector", str(path))

    def contents(self, path: Path) -> bytes:
        """What is in a file, whatever is bad."""
        return super().read_file(path) or b""

    def read(self, fd: int, count: int, offset: int) -> bytes:
        self._check(self._file(fd), "read")
        return super().read(fd, count, offset)

    def read_nowait(self, fd: int, count: int, offset: int) -> bytes | None:
        self._check(self._file(fd), "read")
        return super().read_nowait(fd, count, offset)

    def read_file(self, path: Path) -> bytes | None:
        node = self._names.get(path)
        if isinstance(node, _File):
            self._check(node, "read")
        return super().read_file(path)

    def _write(self, fd: int, data: bytes, offset: int) -> None:
        file = self._file(fd)
        try:
            self._check(file, "write")
        except OSError:
            file.write(data[: self._chance.randint(0, len(data))], offset)
            raise
        super()._write(fd, data, offset)

    def sync_data(self, fd: int) -> None:
        if self.bad_device:
            self._file(fd).forget_dirty()
            raise OSError(errno.EIO, "the device is gone")
        super().sync_data(fd)

    def sync(self, fd: int) -> None:
        file = self._file(fd)
        try:
            self._check(file, "sync")
        except OSError:
            file.forget_dirty()
            raise
        super().sync(fd)

    def sync_filesystem(self, fd: int) -> None:
        if self.bad_neighbour:
            self.errors += 1
            raise OSError(errno.EIO, "a bad sector somewhere else")
        for path, what in self.bad.items():
            node = self._names.get(path)
            if what == "sync" and isinstance(node, _File) and (node.dirty or node.resized):
                node.forget_dirty()
                self.errors += 1
                raise OSError(errno.EIO, "a bad sector somewhere")
        super().sync_filesystem(fd)
