"""Blobs on the filesystem, synced or by way of the commit log, and in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from eventspine.adapters.filesystem.blobs.logged import LoggedBlobs
from eventspine.adapters.filesystem.blobs.store import FilesystemBlobStore
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.memory.blobs import MemoryBlobStore
from eventspine.contracts.blobs import BlobStore
from eventspine.testing.blobs import FOLDER, BlobStoreSuite


class TestFilesystemBlobs(BlobStoreSuite):
    pytestmark = pytest.mark.anyio
    root: Path

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path

    def open(self) -> BlobStore:
        return FilesystemBlobStore(self.root)


class LoggedBlobsSuite(BlobStoreSuite):
    """Every draft is a commit of the event stream store of the same root."""

    root: Path
    flushing: bool

    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path) -> Iterator[None]:
        self.root, self.logged = tmp_path, LoggedBlobs()
        self.store = FilesystemEventStreamStore.open(
            tmp_path, start_flusher=False, blobs=self.logged
        )
        self.flusher = anyio.Lock()
        yield
        self.store.close()

    def open(self) -> BlobStore:
        return FilesystemBlobStore(self.root, logged=self.logged, logged_bytes_max=64 * 1024)

    async def draft(self, store: BlobStore, name: str, *pieces: bytes) -> str:
        data = b"".join(pieces)
        commit = store.commit_of(FOLDER, name, data)
        assert commit is not None, "it is small enough"
        self.store.commit([commit])
        if self.flushing:
            async with self.flusher:
                await anyio.to_thread.run_sync(self.store.flusher.flush)
        return hashlib.sha256(data).hexdigest()

    async def test_what_is_too_large_goes_another_way(self) -> None:
        assert self.open().commit_of(FOLDER, "1.new", bytes(64 * 1024 + 1)) is None


class TestLoggedBlobs(LoggedBlobsSuite):
    pytestmark = pytest.mark.anyio
    flushing = False


class TestLoggedBlobsInFiles(LoggedBlobsSuite):
    pytestmark = pytest.mark.anyio
    flushing = True


class TestMemoryBlobs(BlobStoreSuite):
    pytestmark = pytest.mark.anyio
    durable = False

    def open(self) -> BlobStore:
        return MemoryBlobStore()
