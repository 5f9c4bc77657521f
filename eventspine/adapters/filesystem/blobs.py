"""Blobs as files: one file a blob, `{root}/{folder}/{name}`.

    var/object_store/t_demo/dev/_/blobs/report%2e       an object's bytes, as they were sent
    var/object_store/t_demo/dev/_/blobs/9f86d0….new     a draft

A draft is written, synced, and then its folder is, so that its name is durable too; publishing is a
rename. A rename is not synced: after a power cut the bytes have the old name or the new one, and
the index tells which bytes it means. Every call works on a thread.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TypeVar, TypeVarTuple

import anyio

from eventspine.adapters.filesystem.disk import NO_SPACE, Disk
from eventspine.contracts.blobs import BlobDraft, BlobReader, BlobStore
from eventspine.contracts.errors import StoreCorrupt, StoreFull, StoreUnavailable
from eventspine.contracts.threads import THREADS, Threads

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
FOLDERS_MAX = 100_000  # known to be durable
UNREADABLE = frozenset([errno.EIO, errno.EUCLEAN, errno.EBADMSG])  # bad sectors of one file


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StoreFull(f"{path.name}: {error.strerror}") from error
        raise StoreUnavailable(f"blobs: {error.strerror}", retry_after_s=5) from error


class _Draft(BlobDraft):
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
        with _translated(self._path):
            self._disk.write(self._fd, piece, self.size)
        self._hash.update(piece)
        self.size += len(piece)

    async def finish(self) -> None:
        await self._threads.run_sync(self._finish)

    def _finish(self) -> None:
        assert self._fd is not None, "the draft is finished"
        with _translated(self._path):
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


class _Reader(BlobReader):
    def __init__(self, disk: Disk, threads: Threads, path: Path, fd: int) -> None:
        self._disk, self._threads, self._path = disk, threads, path
        self._fd: int | None = fd
        self.size = disk.size(fd)

    async def read(self, count: int, offset: int) -> bytes:
        return await self._threads.run_sync(self._read, count, offset)

    def _read(self, count: int, offset: int) -> bytes:
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


class FilesystemBlobStore(BlobStore):
    def __init__(self, root: Path, disk: Disk | None = None, threads: Threads = THREADS) -> None:
        self._root = root
        self._disk = disk or Disk()
        self._threads = threads
        self._durable: set[str] = set()
        self._making = anyio.Lock()

    async def begin(self, folder: str, name: str) -> BlobDraft:
        if folder not in self._durable:
            async with self._making:
                await self._run(self._make, folder)
            if len(self._durable) >= FOLDERS_MAX:
                self._durable.clear()
            self._durable.add(folder)
        return await self._run(self._begin, folder, name)

    def _make(self, folder: str) -> None:
        """Once a process for each folder: one that was killed may have made it and not synced."""
        self._disk.make_directories(self._root / folder)
        for above in PurePosixPath(folder).parents:
            self._disk.sync_directory(self._root / above)

    def _begin(self, folder: str, name: str) -> BlobDraft:
        path = self._root / folder / name
        try:
            fd = self._disk.open(path, create=True, exclusive=True)
        except FileNotFoundError:  # somebody has removed the folder since it was made
            self._make(folder)
            fd = self._disk.open(path, create=True, exclusive=True)
        return _Draft(self._disk, self._threads, path, fd)

    async def publish(self, folder: str, draft: str, name: str) -> bool:
        return await self._run(self._publish, folder, draft, name)

    def _publish(self, folder: str, draft: str, name: str) -> bool:
        place = self._root / folder
        try:
            self._disk.rename(place / draft, place / name)
        except FileNotFoundError:
            return False
        return True

    async def open(self, folder: str, name: str) -> BlobReader | None:
        return await self._run(self._open, folder, name)

    def _open(self, folder: str, name: str) -> BlobReader | None:
        path = self._root / folder / name
        try:
            fd = self._disk.open_read(path)
        except FileNotFoundError:
            return None
        return _Reader(self._disk, self._threads, path, fd)

    async def delete(self, folder: str, name: str) -> bool:
        return await self._run(self._delete, folder, name)

    def _delete(self, folder: str, name: str) -> bool:
        path = self._root / folder / name
        try:
            self._disk.unlink(path)
        except FileNotFoundError:
            return False
        self._disk.sync_directory(path.parent)
        return True

    def path(self, folder: str, name: str) -> Path | None:
        return self._root / folder / name

    async def names(self, folder: str) -> list[str]:
        return await self._run(self._names, folder)

    def _names(self, folder: str) -> list[str]:
        return self._disk.names(self._root / folder)

    def _run(self, work: Callable[[*Ts], T], *args: *Ts) -> Awaitable[T]:
        def translated() -> T:
            with _translated(self._root):
                return work(*args)

        return self._threads.run_sync(translated)
