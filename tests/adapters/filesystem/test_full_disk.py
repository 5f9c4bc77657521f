"""A root that is opened on a full disk, and closed again before there is space."""

from __future__ import annotations

import pytest

from eventspine.adapters.filesystem.log.seal import CHECKPOINT_FILE, decode_seal
from tests.adapters.filesystem.machine import ROOT, Machine

WRITTEN = [("a3", "b2"), ("a4",), ("flush",), ("checkpoint",), ("a6", "b5"), ("b6",), ("a6",)]


def checkpoint_of(machine: Machine) -> int:
    return decode_seal(machine.disk.read_file(ROOT / "commit_log" / CHECKPOINT_FILE)).lsn


@pytest.mark.parametrize("seed", range(10))
def test_a_checkpoint_never_goes_back(seed: int) -> None:
    machine = Machine(seed)
    assert machine.run(WRITTEN)
    before = checkpoint_of(machine)
    assert before > 0
    machine.crash("process")
    machine.disk.space_bytes = 0
    machine.open()
    store = machine.store
    assert store is not None
    assert store.flusher.full
    machine.disk.space_bytes = 64
    store.flusher.checkpoint()  # of nothing new: the files hold no more than before
    assert checkpoint_of(machine) == before
    machine.crash("process")
    machine.disk.space_bytes = None
    machine.reopen()
    assert machine.run([("a1",), ("close",)])
    machine.check_files()


def test_a_stop_on_a_full_disk_keeps_what_is_not_in_the_files_readable() -> None:
    machine = Machine(1)
    assert machine.run(WRITTEN)
    machine.disk.space_bytes = 0
    store = machine.store
    assert store is not None
    store.flusher._stop.set()
    store.flusher.flush()
    for key in machine.acked:
        assert machine.found(key) == machine.acked[key]
