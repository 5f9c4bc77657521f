"""The flusher's thread makes the next spare segment while the writer's takes the last one."""

from __future__ import annotations

from typing import cast

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.spare import SPARE_FILE, SpareSegment
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.adapters.filesystem.machine import ROOT


def test_a_spare_that_is_being_taken_is_not_made_anew_under_its_old_name() -> None:
    disk = SimulatedDisk(ROOT)
    spare = SpareSegment(ROOT, cast(Disk, disk), 600)
    spare.make()
    wanted: list[bool] = []

    def others_run() -> None:  # before the rename
        wanted.append(spare.is_wanted(600, 600, filled=True))

    disk.pause = others_run
    fd = spare.take(600, ROOT / "0000000000000002.log")
    assert fd is not None
    assert wanted == [False]
    assert not disk.exists(ROOT / SPARE_FILE)
    assert spare.is_wanted(600, 600, filled=True)
