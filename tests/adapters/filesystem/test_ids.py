"""The index of event ids against a dictionary, with levels made small."""

from __future__ import annotations

import random
from array import array
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.streams import id_levels, ids
from eventspine.adapters.filesystem.streams.ids import FilesystemEventIds, is_indexed, open_ids
from eventspine.contracts.event_id import id_time, new_event_id


class Later:
    """An executor whose work is done when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], tuple[Any, ...]]] = []

    def submit(self, work: Any, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, (work, *args)))
        return future

    def do_one(self) -> None:
        future, (work, *args) = self.waiting.pop(0)
        try:
            future.set_result(work(*args))
        except BaseException as error:
            future.set_exception(error)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "RECENT_MAX", 4)
    monkeypatch.setattr(ids, "FAN_OUT", 3)


def own(n: int) -> str:
    return f"client {n % 50} {n}"


def opened(folder: Path, executor, epoch: int = 1) -> FilesystemEventIds:
    return open_ids(folder, epoch, Disk(), executor)


def catch_up(index: FilesystemEventIds, through: int) -> None:
    for n in range(index.covered + 1, through + 1):
        index.add(own(n), n)
        index.committed(n)


def exact(index: FilesystemEventIds, through: int) -> None:
    for n in range(1, through + 1):
        found = index.candidates(own(n))
        assert n in found, n
        assert list(found) == sorted(found, reverse=True)


@pytest.mark.parametrize("seed", range(5))
def test_no_id_is_ever_missed(tmp_path, small, seed) -> None:
    rng, executor, last = random.Random(seed), Later(), 0
    index = opened(tmp_path, executor)
    for _ in range(120):
        for _ in range(rng.randrange(1, 6)):
            last += 1
            index.add(own(last), last)
        roll = rng.random()
        if roll < 0.6:
            index.committed(last - rng.randrange(0, 2))
        if executor.waiting and rng.random() < 0.6:
            executor.do_one()
        if roll > 0.9:  # its actor rests, perhaps in the middle of a put-away
            index.close()
            index = opened(tmp_path, executor)
            catch_up(index, last)
        if rng.random() < 0.2:
            exact(index, last)
    exact(index, last)
    while executor.waiting:
        executor.do_one()
    index.committed(last)
    exact(index, last)
    index.close()
    again = opened(tmp_path, executor)
    assert again.covered > 0
    catch_up(again, last)
    exact(again, last)
    again.close()


def test_a_late_job_of_a_former_owner_harms_nobody(tmp_path, small) -> None:
    executor, last = Later(), 60
    index = opened(tmp_path, executor)
    for n in range(1, last + 1):
        index.add(own(n), n)
        index.committed(n)
        if executor.waiting and n % 20 == 0:
            executor.do_one()
    index.close()
    successor = opened(tmp_path, executor)
    catch_up(successor, last + 30)
    while executor.waiting:
        executor.do_one()
        successor.committed(last + 30)
        exact(successor, last + 30)
    successor.close()


def test_levels_are_bounded_and_few(tmp_path, small) -> None:
    with ThreadPoolExecutor(1) as executor:
        index = opened(tmp_path, executor)
        for n in range(1, 400):
            index.add(own(n), n)
            index.committed(n)
            if index._job is not None:
                index._job.exception()
        exact(index, 399)
        files = sorted(path.name for path in tmp_path.iterdir())
        assert all(name.startswith("events.ids.") for name in files)
        assert len(files) <= 5
        index.close()


def test_a_full_disk_keeps_ids_in_memory(tmp_path, small) -> None:
    executor = Later()
    index = opened(tmp_path / "missing folder", executor)
    for n in range(1, 60):
        index.add(own(n), n)
        index.committed(n)
        if executor.waiting:
            executor.do_one()
    exact(index, 59)
    assert index.covered == 0
    index.close()


def test_files_of_another_epoch_are_ignored(tmp_path, small) -> None:
    executor = Later()
    index = opened(tmp_path, executor)
    catch_up(index, 40)
    executor.do_one()
    index.committed(40)
    index.close()
    assert opened(tmp_path, executor, epoch=2).covered == 0
    assert opened(tmp_path, executor).covered > 0


def test_made_ids_are_left_out_and_copies_of_them_are_not() -> None:
    made = new_event_id(id_time(1), 7).decode()
    assert not is_indexed(made, 7)
    assert is_indexed(made, 8)
    assert is_indexed("anything", 7)


WORDS = st.lists(st.integers(0, 2**64 - 1), max_size=40).map(sorted)


@settings(deadline=None)
@given(WORDS, WORDS, st.integers(1, 9))
def test_merged_is_all_of_both_in_order(older, newer, chunk) -> None:
    size, id_levels.CHUNK_WORDS = id_levels.CHUNK_WORDS, chunk
    try:
        pieces = list(id_levels.merged(array("Q", older), array("Q", newer)))
    finally:
        id_levels.CHUNK_WORDS = size
    assert [word for piece in pieces for word in piece] == sorted([*older, *newer])


def test_a_level_file_that_is_not_whole_is_none(tmp_path) -> None:
    path = tmp_path / "events.ids.0"
    level = id_levels.write_level(path, 1, 1, 9, [], array("Q", [1, 2, 3]), Disk())
    assert list(level.words) == [1, 2, 3]
    level.close()
    data = path.read_bytes()
    flipped = data[:70] + bytes([data[70] ^ 1]) + data[71:]
    for broken in (b"", data[:-1], data[:63], data + b"x", b"x" + data[1:], flipped):
        path.write_bytes(broken)
        assert id_levels.read_level(path, 1, Disk()) is None


def test_a_level_of_a_stream_deleted_meanwhile_is_not_there(tmp_path) -> None:
    class Deleting(Disk):
        def sync_directory(self, path: Path) -> None:
            for file in path.iterdir():
                file.unlink()

    path = id_levels.level_path(tmp_path, 0)
    with pytest.raises(FileNotFoundError):  # which the index takes for: not now
        id_levels.write_level(path, 1, 1, 9, [], array("Q", [1, 2, 3]), Deleting())
