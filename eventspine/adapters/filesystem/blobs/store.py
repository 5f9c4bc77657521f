"""Blobs as files: one file a blob, `{root}/{folder}/{name}`.

    var/object_store/t_demo/dev/_/blobs/report%2e       an object's bytes, as they were sent
    var/object_store/t_demo/dev/_/blobs/9f86d0….new     a draft

A draft is written, synced, and then its folder is, so that its name is durable too; publishing is a
rename. A rename is not synced: after a power cut the bytes have the old name or the new one, and
the index tells which bytes it means. Small bytes come by way of the commit log and are in memory
until they are in their file (logged.py); a name is looked up there first. What is not in memory is
work for a thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar, TypeVarTuple

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from eventspine.adapters.filesystem.blobs.handles import (
    FileDraft,
    FileReader,
    translated_errors,
)
from eventspine.adapters.filesystem.blobs.logged import LoggedBlobs
from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.log.record import without_heads
from eventspine.contracts.blobs import BlobDraft, BlobReader, BlobStore, BytesReader
from eventspine.contracts.stores import CommitKind, StreamCommit
from eventspine.contracts.threads import THREADS, Threads

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
FOLDERS_MAX = 100_000  # known to be durable
READ_WHOLE_BYTES = 64 * 1024  # what is read when it is opened, on the same thread


class FilesystemBlobStore(BlobStore):
    """Args:
    logged: what the event stream store of the same root has of blobs; None: nothing comes so.
    logged_bytes_max: how large blobs may be that come by way of the log.
    """

    def __init__(
        self,
        root: Path,
        disk: Disk | None = None,
        threads: Threads = THREADS,
        logged: LoggedBlobs | None = None,
        logged_bytes_max: int = 0,
    ) -> None:
        self._root = root
        self._logged = LoggedBlobs(threads) if logged is None else logged
        self.logged_bytes_max = 0 if logged is None else logged_bytes_max
        self._disk = disk or Disk()
        self._threads = threads
        self._durable: set[str] = set()
        self._making = anyio.Lock()

    def commit_of(self, folder: str, draft: str, data: bytes) -> StreamCommit | None:
        if len(data) > self.logged_bytes_max:
            return None
        return StreamCommit(f"{folder}/{draft}", "", 0, 0, without_heads(data), CommitKind.BLOB)

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
        return FileDraft(self._disk, self._threads, path, fd)

    async def publish(self, folder: str, draft: str, name: str) -> bool:
        if self._logged.rename(folder, draft, name):
            return True
        return await self._run(self._publish, folder, draft, name)

    def _publish(self, folder: str, draft: str, name: str) -> bool:
        place, logged = self._root / folder, self._logged
        with logged.turn():
            if logged.rename(folder, draft, name):
                return True  # writing it has failed since
            try:
                self._disk.rename(place / draft, place / name)
            except FileNotFoundError:
                return False
            logged.forget(folder, name)
            if (folder, draft) in logged.unsynced:
                del logged.unsynced[folder, draft]
                logged.unsynced[folder, name] = None
        return True

    async def open(self, folder: str, *names: str) -> BlobReader | None:
        for name in names:
            data = self._logged.find(folder, name)
            if data is not None:
                await checkpoint_if_cancelled()
                return BytesReader(data)
        return await self._run(self._open, folder, names)

    def _open(self, folder: str, names: Sequence[str]) -> BlobReader | None:
        for name in names:
            path = self._root / folder / name
            try:
                fd = self._disk.open_read(path)
            except FileNotFoundError:
                continue
            reader = FileReader(self._disk, self._threads, path, fd)
            if reader.size > READ_WHOLE_BYTES:
                return reader
            try:
                return BytesReader(reader.read_now(reader.size + 1, 0))
            finally:
                self._disk.close(fd)
        return None

    def at_hand(self, folder: str, name: str, size: int) -> bytes | None:
        data = self._logged.find(folder, name)
        if data is not None:
            return data if len(data) == size else None
        if size > READ_WHOLE_BYTES:
            return None
        return self._disk.read_file_nowait(f"{self._root}/{folder}/{name}", size)

    async def delete(self, folder: str, name: str) -> bool:
        return await self._run(self._delete, folder, name)

    def _delete(self, folder: str, name: str) -> bool:
        path = self._root / folder / name
        with self._logged.turn():
            was_logged = self._logged.forget(folder, name)
            try:
                self._disk.unlink(path)
            except FileNotFoundError:
                return was_logged
            self._logged.unsynced.pop((folder, name), None)
        self._disk.sync_directory(path.parent)
        return True

    def path(self, folder: str, name: str) -> Path | None:
        return self._root / folder / name

    async def names(self, folder: str) -> list[str]:
        return await self._run(self._names, folder)

    def _names(self, folder: str) -> list[str]:
        logged = self._logged.names(folder)  # first: they go from there to files
        names = self._disk.names(self._root / folder)
        return sorted(logged.union(names)) if logged else names

    def _run(self, work: Callable[[*Ts], T], *args: *Ts) -> Awaitable[T]:
        def translated() -> T:
            with translated_errors(self._root):
                return work(*args)

        return self._threads.run_sync(translated)
