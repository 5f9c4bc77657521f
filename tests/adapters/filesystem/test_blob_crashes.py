"""A power cut at any disk operation of an overwrite leaves the bytes that the index names."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import pytest

from eventspine.adapters.filesystem.blobs.store import FilesystemBlobStore
from eventspine.adapters.filesystem.disk import Disk
from eventspine.contracts.blobs import BlobStore
from eventspine.testing.simulated_disk import Crashed, SimulatedDisk

ROOT, FOLDER = Path("/simulated"), "object_store/t/dev/_/blobs"
CONTENTS = {"1": b"old" * 700, "2": b"newer" * 900}


class Life:
    """Puts one key twice; `named` is what an index would name, durably, at any time."""

    def __init__(self) -> None:
        self.named = ""

    async def run(self, store: BlobStore) -> None:
        for blob, content in CONTENTS.items():
            draft = await store.begin(FOLDER, f"{blob}.new")
            await draft.write(content[:1000])
            await draft.write(content[1000:])
            await draft.finish()
            self.named = blob
            await store.publish(FOLDER, f"{blob}.new", "k")


async def bytes_of(store: BlobStore, blob: str) -> bytes:
    reader = await store.open(FOLDER, f"{blob}.new") or await store.open(FOLDER, "k")
    assert reader is not None, "there is no file for what the index names"
    data = await reader.read(reader.size, 0)
    await reader.aclose()
    return data


@pytest.mark.parametrize("kind", ["process", "power"])
def test_what_the_index_names_is_there_after_a_crash_at_any_operation(kind: str) -> None:
    crashes = 0
    for seed in range(8):
        for crash_at in range(1, 40):
            disk = SimulatedDisk(ROOT, seed)
            disk.crash_at = crash_at
            store = FilesystemBlobStore(ROOT, _as_disk(disk))
            life = Life()
            try:
                anyio.run(life.run, store)
            except Crashed:
                crashes += 1
            disk.crash("power" if kind == "power" else "process")
            if life.named:
                found = anyio.run(
                    partial(bytes_of, FilesystemBlobStore(ROOT, _as_disk(disk))), life.named
                )
                assert found == CONTENTS[life.named], (seed, crash_at, life.named)
    assert crashes > 8 * 10, "the crashes came"


def _as_disk(disk: SimulatedDisk) -> Disk:
    return disk  # type: ignore[return-value]
