"""The segment that a busy log has ready."""

from __future__ import annotations

from typing import cast

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.log.commit_log import LOG_FOLDER
from eventspine.adapters.filesystem.log.spare import SPARES_MAX, SpareSegments
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.adapters.filesystem.lines import events, lines_of
from tests.adapters.filesystem.machine import ROOT, STREAMS, TINY, Machine

SPARE = ROOT / LOG_FOLDER / "spare.1.new"
A = STREAMS[0]


def test_a_log_in_use_goes_on_in_the_spare_and_reads_back_whole() -> None:
    machine = Machine()
    machine.step(("a1",))
    assert machine.store is not None
    log = machine.store._log
    log.prepare()
    assert machine.disk.exists(SPARE)
    assert log.segments == 1
    machine.step(("b1",))
    assert log.segments == 2, "the first segment was only allocated"
    assert not machine.disk.exists(SPARE)
    log.prepare()
    assert not machine.disk.exists(SPARE), "a filled segment that is hardly used is enough"
    machine.run([("a6",), ("c6",), ("prepare",), ("b9",), ("a2",)])
    machine.crash("power")
    machine.reopen()


def test_a_quiet_log_gets_none(tmp_path) -> None:
    store = FilesystemEventStreamStore.open(tmp_path, start_flusher=False)
    store.commit([events(A, 1, lines_of(1, 3))])
    store._log.prepare()
    assert not (tmp_path / LOG_FOLDER / SPARE.name).exists()
    store.close()


def test_a_spare_is_zeros_to_its_end(tmp_path) -> None:
    spares = SpareSegments(tmp_path, Disk(), 1_000_003)
    spares.make()
    assert (tmp_path / SPARE.name).read_bytes() == bytes(1_000_003)
    assert spares.take(1_000_004, tmp_path / "x.log") is None, "too small for what is to go in"
    fd = spares.take(1_000_003, tmp_path / "x.log")
    assert fd is not None
    assert spares.take(1, tmp_path / "y.log") is None
    Disk().close(fd)
    assert (tmp_path / "x.log").stat().st_size == 1_000_003


def test_a_few_dropped_segments_are_kept_and_their_heads_emptied(tmp_path) -> None:
    spares = SpareSegments(tmp_path, Disk(), 300)
    dropped = [tmp_path / f"{n}.log" for n in range(SPARES_MAX + 1)]
    for path in dropped:
        path.write_bytes(b"x" * 300)
    assert [spares.recycle(path) for path in dropped] == [True] * SPARES_MAX + [False]
    assert [path for path in dropped if path.exists()] == dropped[-1:]
    fd = spares.take(300, tmp_path / "next.log")
    assert fd is not None
    Disk().close(fd)
    assert (tmp_path / "next.log").read_bytes() == bytes(64) + b"x" * 236
    assert spares.recycle(dropped[-1]), "there is room again"
    spares.close()
    assert [path.name for path in tmp_path.iterdir()] == ["next.log"]


def test_a_segment_that_cannot_be_kept_is_removed(tmp_path) -> None:
    class Failing(Disk):
        def sync(self, fd: int) -> None:
            raise OSError(5, "a failing disk")

    spares = SpareSegments(tmp_path, Failing(), 300)
    segment = tmp_path / "1.log"
    segment.write_bytes(b"x" * 300)
    assert spares.recycle(segment)
    assert spares.failed == 1
    assert not len(spares)
    assert not list(tmp_path.iterdir())


def test_the_next_can_be_made_while_one_is_taken() -> None:
    disk = SimulatedDisk(ROOT)
    spares = SpareSegments(ROOT, cast(Disk, disk), 600)
    spares.make()
    wanted: list[bool] = []

    def others_run() -> None:  # before the rename
        disk.pause = lambda: None
        wanted.append(spares.is_wanted(600, 600, filled=True))
        spares.make()

    disk.pause = others_run
    first = spares.take(600, ROOT / "0000000000000002.log")
    second = spares.take(600, ROOT / "0000000000000003.log")
    assert wanted == [True]
    assert first is not None
    assert second is not None
    assert first != second
    assert [path.name for path in disk.files() if path.suffix == ".new"] == []


def test_without_space_for_it_the_log_goes_on_without() -> None:
    machine = Machine()
    machine.step(("a1",))
    machine.disk.space_bytes = 1000
    machine.step(("prepare",))
    assert machine.store is not None
    assert not len(machine.store._log._spares)
    assert machine.store.statistics().details["spare_segments_failed"] == 1
    assert not machine.disk.exists(SPARE), "what it took is given back"
    machine.disk.space_bytes = None
    machine.step(("prepare",))
    assert not machine.disk.exists(SPARE), "not tried again in this segment"
    machine.run([("a9",), ("b9",), ("close",)])
    machine.check_files()
    assert not machine.disk._open


def test_what_a_crash_left_of_one_is_removed() -> None:
    machine = Machine()
    machine.run([("a1",), ("prepare",)])
    machine.crash("process")
    assert machine.disk.exists(SPARE)
    machine.reopen()
    assert not machine.disk.exists(SPARE)


def test_a_clean_end_leaves_none() -> None:
    disk = SimulatedDisk(ROOT)
    store = FilesystemEventStreamStore.open(ROOT, TINY, cast(Disk, disk), start_flusher=False)
    store.commit([events(A, 1, lines_of(1, 1))])
    store._log.prepare()
    store.close()
    assert not disk.exists(SPARE)
    assert not disk._open
