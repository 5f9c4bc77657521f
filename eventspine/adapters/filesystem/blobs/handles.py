"""Drafts and readers of blobs: a file that is written, a file that is read.

Every call that touches the disk works on a thread.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventspine.adapters.filesystem.disk import NO_SPACE, Disk
from eventspine.contracts.blobs import BlobDraft, BlobReader
from eventspine.contracts.errors import StoreCorrupt, StoreFull, StoreUnavailable
from eventspine.contracts.threads import Threads

UNREADABLE = frozenset([errno.EIO, errno.EUCLEAN, errno.EBADMSG])  # bad sectors of one file


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StoreFull(f"{path.name}: {error.strerror}") from error
        raise StoreUnavailable(f"blobs: {error.strerror}", retry_after_s=5) from error


class FileDraft(BlobDraft):
    def __init__(self, disk: Disk, threads: Threads, path: Path, fd: int) -> None:
        self._disk, self._threads, self._path = disk, threads, path
        self._fd: int | None = fd
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    async def write(self, piece: bytes) -> None:
        await self._threads.run_sync(self._write, piece)

    def _write(self, piece: bytes) -> None:
        assert self._fd is not None, "the draft is finished"
        with translated_errors(self._path):
            self._disk.write(self._fd, piece, self.size)
        self._hash.update(piece)
        self.size += len(piece)

    async def finish(self) -> None:
        await self._threads.run_sync(self._finish)

    def _finish(self) -> None:
        assert self._fd is not None, "the draft is finished"
        with translated_errors(self._path):
            self._disk.sync(self._fd)
            self._disk.sync_directory(self._path.parent)
            self._close()

    async def aclose(self) -> None:
        if self._fd is not None:
            await self._threads.run_sync(self._close)

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            self._disk.close(fd)


class FileReader(BlobReader):
    def __init__(self, disk: Disk, threads: Threads, path: Path, fd: int) -> None:
        self._disk, self._threads, self._path = disk, threads, path
        self._fd: int | None = fd
        self.size = disk.size(fd)

    async def read(self, count: int, offset: int) -> bytes:
        return await self._threads.run_sync(self.read_now, count, offset)

    def read_now(self, count: int, offset: int) -> bytes:
        assert self._fd is not None, "the reader is closed"
        try:
            return self._disk.read(self._fd, count, offset)
        except OSError as error:
            if error.errno in UNREADABLE:
                found = f"cannot be read: {error.strerror}"
                raise StoreCorrupt(found, path=str(self._path), found=found) from error
            raise StoreUnavailable(f"blobs: {error.strerror}", retry_after_s=5) from error

    async def aclose(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            await self._threads.run_sync(self._disk.close, fd)
