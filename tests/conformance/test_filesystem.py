"""Event streams and the registry on the filesystem."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
import pytest

from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.registry.registry import FilesystemRegistryStore
from eventspine.contracts.settings import StorageSettings
from eventspine.testing.event_stream import EventStreamStoreSuite
from eventspine.testing.registry import RegistryStoreSuite


class OnFiles(EventStreamStoreSuite):
    settings = StorageSettings()
    root: Path

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path

    @asynccontextmanager
    async def open(self, place: str) -> AsyncIterator[FilesystemEventStreamStore]:
        (self.root / place).mkdir(exist_ok=True)
        store = await anyio.to_thread.run_sync(
            FilesystemEventStreamStore.open, self.root / place, self.settings
        )
        try:
            yield store
        finally:
            await anyio.to_thread.run_sync(store.close)


class TestFilesystem(OnFiles):
    pytestmark = pytest.mark.anyio


class TestFilesystemThatIsAlwaysFlushing(OnFiles):
    pytestmark = pytest.mark.anyio
    settings = StorageSettings.model_construct(
        log_segment_bytes=4096, log_segments_max=3, flush_interval_s=0.001, open_files_max=8
    )


class TestRegistry(RegistryStoreSuite):
    pytestmark = pytest.mark.anyio
    root: Path

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path

    def open(self) -> FilesystemRegistryStore:
        return FilesystemRegistryStore(self.root)
