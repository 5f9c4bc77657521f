"""Full disks and failed syncs, and what goes on behind a store."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.contracts.errors import StoreFull
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.adapters.filesystem.lines import events, lines_of
from tests.adapters.filesystem.machine import ROOT, STREAMS, TINY, Machine

A = STREAMS[0]


def opened(machine: Machine) -> FilesystemEventStreamStore:
    machine.open()
    assert machine.store is not None
    return machine.store


def test_a_full_disk_refuses_and_goes_on_when_there_is_space() -> None:
    machine = Machine()
    machine.step(("a3", "b1"))
    machine.disk.space_bytes = 0
    refused = 0
    for _ in range(20):
        try:
            machine.step(("a2",))
        except StoreFull:
            refused += 1
            machine.maybe = None
    assert refused > 10
    assert machine.store is not None
    assert {key: machine.found(key) for key in machine.acked} == machine.acked
    machine.disk.space_bytes = None
    machine.run([("a4",), ("b2",), ("flush",), ("close",)])
    machine.check_files()
    machine.reopen()


@pytest.mark.parametrize("space", range(0, 4000, 250))
def test_the_flusher_waits_out_a_full_disk_and_a_restart_in_it(space) -> None:
    machine = Machine()
    machine.step(("a9", "b3"))
    machine.step(("c5",))
    store = opened_again(machine, space)
    assert store.flusher.full == (space < 3500) or space >= 2000
    assert {key: machine.found(key) for key in machine.acked} == machine.acked
    machine.disk.space_bytes = None
    assert machine.run([("flush",), ("checkpoint",), ("a1",), ("close",)])
    machine.check_files()
    machine.reopen()


def opened_again(machine: Machine, space: int) -> FilesystemEventStreamStore:
    machine.crash("process")
    machine.disk.space_bytes = space
    return opened(machine)


def test_a_close_on_a_full_disk_keeps_the_log() -> None:
    machine = Machine()
    machine.run([("a9", "b3"), ("c5",)])
    machine.disk.space_bytes = 100
    machine.step(("close",))
    machine.disk.space_bytes = None
    machine.reopen()
    assert machine.run([("a1",), ("close",)])
    machine.check_files()


@pytest.mark.parametrize("nth", range(1, 30))
def test_a_failed_sync_is_final_and_the_platter_decides(nth) -> None:
    machine = Machine(nth)
    machine.step(("a1",))
    machine.disk.failing_syncs = frozenset([machine.disk.syncs + nth])
    failed = False
    try:
        machine.run([("a2", "b1"), ("flush",), ("b3",), ("a7",), ("flush",), ("checkpoint",)])
        machine.run([("c2",), ("b2", "a1"), ("flush",), ("checkpoint",), ("a4",)])
    except OSError:
        failed = True
    assert failed == (machine.disk.syncs >= min(machine.disk.failing_syncs))
    machine.disk.failing_syncs = frozenset()
    machine.crash("process")  # a failed process is started again; then the power goes
    machine.reopen()
    machine.crash("power")
    machine.reopen()
    assert machine.run([("a1", "b1"), ("close",)])
    machine.check_files()


def test_a_store_that_cannot_be_opened_leaves_no_descriptor_open() -> None:
    machine = Machine()
    machine.run([("a3",), ("b2",)])
    machine.crash("process")
    for nth in range(1, 6):
        machine.disk.failing_syncs = frozenset([machine.disk.syncs + nth])
        try:
            machine.open()
        except OSError:
            assert machine.disk._open == {}
        else:
            machine.crash("process")


def test_the_same_seed_is_the_same_disk() -> None:
    def traces() -> list[dict[str, bytes | None]]:
        found = []
        for n in range(1, 40, 5):
            machine = Machine(7)
            machine.disk.crash_at = n
            machine.run([("a3", "b2"), ("flush",), ("a4",), ("checkpoint",), ("delete-a",)])
            machine.crash("power")
            found.append({str(p): machine.disk.read_file(p) for p in machine.disk.files()})
        return found

    assert traces() == traces()


def test_the_simulated_disk_has_the_methods_of_the_disk() -> None:
    import inspect

    for name, method in inspect.getmembers(Disk, inspect.isfunction):
        if not name.startswith("_"):
            theirs = inspect.signature(method)
            assert inspect.signature(getattr(SimulatedDisk, name)) == theirs, name


def test_readers_see_all_that_is_committed_while_the_flusher_works(tmp_path) -> None:
    store = FilesystemEventStreamStore.open(
        tmp_path, TINY.model_copy(update={"flush_interval_s": 0.0005})
    )
    committed, wrong = [0], []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            want = committed[0]
            got = store._read(A, 1, want, 1 << 30) if want else []
            if [line for line in got if not line.startswith(b'{"sequence"')] or len(got) != want:
                wrong.append((want, len(got)))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for n in range(150):
            store.commit([events(A, committed[0] + 1, lines_of(committed[0] + 1, n % 3 + 1))])
            committed[0] += n % 3 + 1
    finally:
        done.set()
        for thread in threads:
            thread.join()
        store.close()
    assert wrong == []
    assert (tmp_path / A / "events.jsonl").read_bytes().count(b"\n") == committed[0]


def test_a_disk_is_a_disk() -> None:
    assert cast(Disk, SimulatedDisk(ROOT)) is not None
