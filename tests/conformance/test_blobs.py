"""Blobs on the filesystem and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventspine.adapters.filesystem.blobs import FilesystemBlobStore
from eventspine.adapters.memory.blobs import MemoryBlobStore
from eventspine.contracts.blobs import BlobStore
from eventspine.testing.blobs import BlobStoreSuite


class TestFilesystemBlobs(BlobStoreSuite):
    pytestmark = pytest.mark.anyio
    root: Path

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path

    def open(self) -> BlobStore:
        return FilesystemBlobStore(self.root)


class TestMemoryBlobs(BlobStoreSuite):
    pytestmark = pytest.mark.anyio
    durable = False

    def open(self) -> BlobStore:
        return MemoryBlobStore()
