"""A crash at any disk operation of writing a side file leaves the old one, the new one, or none."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal, cast

import anyio
import pytest

from eventspine.adapters.filesystem.blobs.store import FilesystemBlobStore
from eventspine.adapters.filesystem.disk import Disk
from eventspine.services.vector_side_file import SideFile
from eventspine.testing.simulated_disk import Crashed, SimulatedDisk

ROOT, FOLDER = Path("/simulated"), "vector_store/t/dev/_/indexes"
OLD, NEW = b"old" * 700, b"newer" * 900


class Life:
    def __init__(self) -> None:
        self.written = [b""]

    async def run(self, file: SideFile) -> None:
        for data in (OLD, NEW):
            self.written.append(data)
            await file.write(data[:10], memoryview(data[10:]))
            self.written[:] = [data]
        await file.delete()


def side_file(disk: SimulatedDisk) -> SideFile:
    return SideFile(FilesystemBlobStore(ROOT, cast(Disk, disk)), FOLDER, "docs/1")


@pytest.mark.parametrize("kind", ["process", "power"])
def test_it_is_whole_after_a_crash_at_any_operation(kind: Literal["process", "power"]) -> None:
    crashes, found = 0, set()
    for seed in range(4):
        for crash_at in range(1, 40):
            disk, life = SimulatedDisk(ROOT, seed), Life()
            disk.crash_at = crash_at
            try:
                anyio.run(life.run, side_file(disk))
            except Crashed:
                crashes += 1
            disk.crash(kind)
            file = side_file(disk)
            data = anyio.run(file.read) or b""
            found.add(data)
            assert data in (b"", OLD, NEW), (seed, crash_at)
            if kind == "process":
                assert data in (*life.written, b""), (seed, crash_at)
            anyio.run(partial(file.write, b"next", memoryview(b" one")))
            assert anyio.run(file.read) == b"next one"
            names = [path.name for path in disk.files() if path.is_relative_to(ROOT / FOLDER)]
            assert names == [file.name], "no draft is left"
    assert found == {b"", OLD, NEW}
    assert crashes > 4 * 15, "the crashes came"
