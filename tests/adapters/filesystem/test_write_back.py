"""Writing back ahead of a checkpoint: in steps, what is open, and no longer than there is time."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.streams.open_streams import OpenStreams
from eventspine.adapters.filesystem.streams.write_back import (
    STEP_S,
    STEP_STREAMS,
    STEPS_MAX,
    write_back,
)
from eventspine.contracts.settings import StorageSettings
from tests.adapters.filesystem.lines import events, lines_of

KEYS = [f"event_stream/t/e/_/{n}" for n in range(3 * STEP_STREAMS + 1)]


class Telling(Disk):
    """Says which files it was told to begin with."""

    def __init__(self) -> None:
        self.begun: list[int] = []

    def begin_write_back(self, fd: int) -> None:
        super().begin_write_back(fd)
        self.begun.append(fd)


@pytest.fixture
def store(tmp_path: Path):
    settings = StorageSettings(sync_files_max=2)
    store = FilesystemEventStreamStore.open(tmp_path, settings, Telling(), start_flusher=False)
    store.commit([events(key, 1, lines_of(1, 2)) for key in KEYS])
    store.flusher.flush()
    yield store
    store.close()


def test_every_open_file_is_begun_with_a_few_at_a_time(store) -> None:
    disk, steps = store._files.disk, []

    def pause(pause_s: float) -> bool:
        steps.append((len(disk.begun), pause_s))
        return True

    store._files.write_back(pause)
    assert [count for count, _ in steps] == [10, 20, 30, 31]
    assert {pause_s for _, pause_s in steps} == {STEP_S}
    assert len(set(disk.begun)) == len(KEYS)
    store.flusher.checkpoint()
    store._files.write_back(pause)
    assert len(steps) == 4, "a checkpoint leaves nothing to begin with"


def test_without_time_it_ends_after_the_step_it_is_in(store) -> None:
    store._files.write_back(lambda _: False)
    assert len(store._files.disk.begun) == STEP_STREAMS


def test_many_streams_take_larger_steps_and_closed_files_none() -> None:
    pauses: list[float] = []
    disk = Telling()

    def pause(pause_s: float) -> bool:
        pauses.append(pause_s)
        return True

    write_back(
        [str(n) for n in range(100_000)], OpenStreams(lambda _: None, disk.close, 8), disk, pause
    )
    assert len(pauses) == STEPS_MAX
    assert not disk.begun


def test_few_streams_are_synced_one_by_one_and_not_begun_with(tmp_path: Path) -> None:
    disk = Telling()
    store = FilesystemEventStreamStore.open(
        tmp_path, StorageSettings(sync_files_max=100), disk, start_flusher=False
    )
    store.commit([events(key, 1, lines_of(1, 1)) for key in KEYS])
    store.flusher.flush()
    store._files.write_back(lambda _: True)
    assert not disk.begun
    store.close()
