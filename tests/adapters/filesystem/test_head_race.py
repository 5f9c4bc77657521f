"""Where a stream stands, asked while the flusher writes its files for the first time."""

from __future__ import annotations

from typing import cast

import pytest

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.adapters.filesystem.lines import events, lines_of
from tests.adapters.filesystem.machine import ROOT, STREAMS

A = STREAMS[0]


@pytest.mark.parametrize("operation", [1, 2])
def test_files_that_are_being_written_are_not_taken_for_damaged(operation: int) -> None:
    disk = SimulatedDisk(ROOT)
    store = FilesystemEventStreamStore.open(ROOT, disk=cast(Disk, disk), start_flusher=False)
    asked = 0

    def others_run() -> None:
        nonlocal asked
        asked += 1
        if asked == operation:
            store.commit([events(A, 1, lines_of(1, 3))])
            store.flusher.flush()

    disk.pause = others_run
    assert store._head(A).sequence in (0, 3)
    disk.pause = lambda: None
    assert store._head(A).sequence == 3
    store.close()
