"""The disk as this backend sees it: every system call it makes, and nothing else.

Everything durable goes through one Disk object, so that a simulated one can tear writes, lose
directory entries and fail a sync. Methods block; the caller runs on a thread. Reads that must not
block ask for `RWF_NOWAIT` and get None when the page is not in memory.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Sequence
from pathlib import Path

from eventspine.adapters.filesystem import syncfs
from eventspine.native import core

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NO_SPACE = frozenset([errno.ENOSPC, errno.EDQUOT])
_NOWAIT_REFUSED = frozenset([errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL])


def _read_in_python(fd: int, count: int, offset: int) -> bytes:
    buffer = bytearray(count)
    got = os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)
    return bytes(buffer) if got == count else bytes(buffer[:got])


_read_nowait = core.read_nowait if core is not None else _read_in_python


class Disk:
    """The real disk."""

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC
        flags |= os.O_CREAT if create else 0
        flags |= os.O_EXCL if exclusive else 0
        return os.open(path, flags, 0o644)

    def open_read(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self, fd: int) -> None:
        os.close(fd)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def read(self, fd: int, count: int, offset: int) -> bytes:
        """Up to `count` bytes; fewer only at the end of the file."""
        data = os.pread(fd, count, offset)
        while 0 < len(data) < count:
            more = os.pread(fd, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def read_nowait(self, fd: int, count: int, offset: int) -> bytes | None:
        """As `read`, or None when it would have to wait for the device."""
        try:
            data: bytes = _read_nowait(fd, count, offset)
        except OSError as error:
            if error.errno in _NOWAIT_REFUSED:
                return None
            raise
        if len(data) < count and offset + len(data) < self.size(fd):
            return None  # the rest is not in memory
        return data

    def read_file_nowait(self, path: str, size: int) -> bytes | None:
        """All of a file of `size` bytes; None when it has others, or would have to wait."""
        if core is None or (type(self).open_read, type(self).read) != _OWN_READS:
            return None
        data: bytes | None = core.read_file_nowait(os.fsencode(path), size)
        return data

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """All of `data`, or an OSError; a short write is carried on until it is one of them."""
        done = os.pwrite(fd, data, offset)
        while done < len(data):
            more = os.pwrite(fd, memoryview(data)[done:], offset + done)
            if more == 0:
                raise OSError(errno.EIO, "a write made no progress")
            done += more

    def begin_all(
        self, streams: Sequence[tuple[Path, Path, Path, bytes]]
    ) -> Sequence[tuple[int, int] | None]:
        """Make folders with two new files each, the second one holding these bytes, in one go.

        Answers the descriptors of the files; None where it cannot be done just so: a file is there,
        the folder above is missing, the disk fails. Then nothing is left but perhaps the folder.
        """
        if core is None or type(self).open is not Disk.open or type(self).write is not Disk.write:
            return [None] * len(streams)
        names = [(*map(os.fsencode, paths), data) for *paths, data in streams]
        made: list[tuple[int, int] | None] = core.begin_all(names)
        return made

    def write_all(self, writes: Sequence[tuple[int, bytes, int]]) -> None:
        """Each of the writes (descriptor, data, offset), in this order, up to one that fails."""
        if core is not None and type(self).write is Disk.write:
            core.write_all(writes)  # the interpreter is handed over once
        else:
            for fd, data, offset in writes:
                self.write(fd, data, offset)

    def place_all(self, files: Sequence[tuple[Path, Path, bytes]]) -> None:
        """Write files under a draft's name and give them their own (draft, name, data), in order.

        Up to one that fails; what had the name is replaced. Draft and name may be the same.
        """
        own = type(self)
        if core is not None and (own.open, own.write, own.rename) == _OWN:
            core.place_all([(*map(os.fsencode, paths), data) for *paths, data in files])
            return
        for draft, name, data in files:
            fd = self.open(draft, create=True)
            try:
                self.truncate(fd, 0)
                self.write(fd, data, 0)
            finally:
                self.close(fd)
            if draft != name:
                self.rename(draft, name)

    def write_durably(self, fd: int, data: bytes, offset: int) -> None:
        """As `write`, and on the disk when it returns: one system call instead of two."""
        done = os.pwritev(fd, [data], offset, os.RWF_DSYNC)
        while done < len(data):
            more = os.pwritev(fd, [memoryview(data)[done:]], offset + done, os.RWF_DSYNC)
            if more == 0:
                raise OSError(errno.EIO, "a write made no progress")
            done += more

    def write_sealed(self, fd: int, data: bytes, offset: int, seal_fd: int, seal: bytes) -> int:
        """As `write_durably`; then `seal` at the start of another file, which is not waited for.

        Answers 0, or what the seal failed with: an errno.
        """
        if core is not None and type(self).write is Disk.write:
            code: int = core.write_sealed(fd, data, offset, seal_fd, seal)
            return code
        self.write_durably(fd, data, offset)
        try:
            self.write(seal_fd, seal, 0)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def allocate(self, fd: int, size: int) -> None:
        """Reserve `size` bytes that read as zeros, so that later writes cannot run out of space."""
        os.posix_fallocate(fd, 0, size)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def sync_data(self, fd: int) -> None:
        os.fdatasync(fd)

    def sync(self, fd: int) -> None:
        os.fsync(fd)

    def open_filesystem(self, path: Path) -> int | None:
        """A descriptor for `sync_filesystem`; None where that cannot be trusted."""
        return os.open(path, _DIRECTORY) if syncfs.is_trusted(path) else None

    def sync_filesystem(self, fd: int) -> None:
        """Everything written to this file system so far is on the disk, names included.

        Raises OSError also for a write-back that failed since the descriptor was opened.
        """
        syncfs.sync(fd)

    def begin_write_back(self, fd: int) -> None:
        """Have the kernel begin to write what the file holds. Nothing is waited for or durable."""
        syncfs.begin_write_back(fd)

    def sync_directory(self, path: Path) -> None:
        fd = os.open(path, _DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_directories(self, path: Path) -> list[Path]:
        """Create a directory and its parents. Answers those it created, outermost first."""
        try:
            os.mkdir(path)
        except FileExistsError:
            return []
        except FileNotFoundError:
            made = self.make_directories(path.parent)
            os.mkdir(path)
            return [*made, path]
        return [path]

    def names(self, path: Path) -> list[str]:
        """Names in a directory, sorted; none if it does not exist."""
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []

    def exists(self, path: Path) -> bool:
        return os.path.exists(path)

    def is_directory(self, path: Path) -> bool:
        return os.path.isdir(path)

    def rename(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def read_file(self, path: Path) -> bytes | None:
        """A whole small file, or None if it does not exist."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def map(self, path: Path) -> mmap.mmap | None:
        """A whole file to look into, or None if it does not exist or is empty. Close it."""
        try:
            fd = self.open_read(path)
        except FileNotFoundError:
            return None
        try:
            return mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        except ValueError:
            return None
        finally:
            self.close(fd)

    def replace_file(self, path: Path, data: bytes) -> None:
        """Put a whole small file in place, durably, at once: old or new, never between."""
        draft = path.with_name(f"{path.name}.new")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            self.write(fd, data, 0)
            self.sync(fd)
        finally:
            os.close(fd)
        self.rename(draft, path)
        self.sync_directory(path.parent)

    def lock(self, path: Path) -> int | None:
        """An open descriptor that holds the exclusive lock on `path`; None if another has it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return fd


_OWN = (Disk.open, Disk.write, Disk.rename)
_OWN_READS = (Disk.open_read, Disk.read)
