"""Blobs that come by way of the log: names beside a plain dictionary, damage, files that fail."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Literal, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventspine.adapters.filesystem.blobs.logged import LoggedBlobs
from eventspine.adapters.filesystem.blobs.store import FilesystemBlobStore
from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.log import record
from eventspine.adapters.filesystem.log.record import RECORD_MAGIC, heads_in, without_heads
from eventspine.contracts.blobs import BlobDraft, BlobStore
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.stores import StreamCommit
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.adapters.filesystem.machine import ROOT, TINY

FOLDER = "object_store/t/e/_/blobs"
SMALL_MAX = 1000
LOG = ROOT / "commit_log" / "0000000000000001.log"
ROOMY = TINY.model_copy(update={"log_segment_bytes": 64 * 1024})


def draft_of(n: int) -> str:
    return f"{n:032x}.new"


class Root:
    """Both stores of one root on a disk."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk = disk
        self.logged = LoggedBlobs()
        self.blobs: BlobStore = FilesystemBlobStore(
            ROOT, cast(Disk, disk), logged=self.logged, logged_bytes_max=SMALL_MAX
        )
        self.store = self.open()

    def open(self) -> FilesystemEventStreamStore:
        self.store = FilesystemEventStreamStore.open(
            ROOT, ROOMY, cast(Disk, self.disk), start_flusher=False, blobs=self.logged
        )
        return self.store

    def commit(self, *blobs: tuple[int, bytes]) -> None:
        commits = [self.blobs.commit_of(FOLDER, draft_of(n), data) for n, data in blobs]
        self.store.commit([one for one in commits if one is not None])

    def read(self, name: str) -> bytes | None:
        async def read() -> bytes | None:
            reader = await self.blobs.open(FOLDER, name)
            return None if reader is None else await reader.read(reader.size + 1, 0)

        return asyncio.run(read())

    def names(self) -> list[str]:
        return asyncio.run(self.blobs.names(FOLDER))

    def publish(self, n: int, name: str) -> bool:
        return asyncio.run(self.blobs.publish(FOLDER, draft_of(n), name))

    def delete(self, name: str) -> bool:
        return asyncio.run(self.blobs.delete(FOLDER, name))

    def put_large(self, n: int, data: bytes) -> None:
        async def put() -> None:
            draft: BlobDraft = await self.blobs.begin(FOLDER, draft_of(n))
            await draft.write(data)
            await draft.finish()

        asyncio.run(put())


class NamesAndDictionary(RuleBasedStateMachine):
    """Whatever is in memory, being written or in files: a name stands for what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Root(SimulatedDisk(ROOT))
        self.model: dict[str, bytes] = {}
        self.count = 0

    @rule(size=st.integers(0, SMALL_MAX))
    def small(self, size: int) -> None:
        self.count += 1
        data = b"%d" % self.count * size
        data = data[:size]
        self.root.commit((self.count, data))
        self.model[draft_of(self.count)] = data

    @rule(size=st.integers(SMALL_MAX + 1, 3 * SMALL_MAX))
    def large(self, size: int) -> None:
        self.count += 1
        self.root.put_large(self.count, bytes(size))
        self.model[draft_of(self.count)] = bytes(size)

    @rule(n=st.integers(1, 30), name=st.sampled_from("abc"))
    def publish(self, n: int, name: str) -> None:
        there = draft_of(n) in self.model
        assert self.root.publish(n, name) is there
        if there:
            self.model[name] = self.model.pop(draft_of(n))

    @rule(name=st.one_of(st.sampled_from("abc"), st.integers(1, 30).map(draft_of)))
    def delete(self, name: str) -> None:
        assert self.root.delete(name) is (self.model.pop(name, None) is not None)

    @rule()
    def flush(self) -> None:
        self.root.store.flusher.flush()

    @rule()
    def checkpoint(self) -> None:
        self.root.store.flusher.checkpoint()

    @precondition(lambda self: all(name.endswith(".new") for name in self.model))
    @rule()
    def killed_and_opened(self) -> None:
        """With drafts alone, nothing has another name afterwards."""
        self.root.disk.crash("process")
        self.root.open()
        for name in set(self.root.names()) - set(self.model):
            self.root.delete(name)  # deleted before; an index would have told so

    @invariant()
    def they_agree(self) -> None:
        assert self.root.names() == sorted(self.model)
        for name, data in self.model.items():
            assert self.root.read(name) == data


TestNamesAndDictionary = NamesAndDictionary.TestCase
TestNamesAndDictionary.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("kind", ["process", "power"])
@pytest.mark.parametrize("steps", [(), ("flush",), ("flush", "checkpoint")])
def test_what_the_log_held_is_a_draft_again_after_a_crash(
    kind: Literal["process", "power"], steps: tuple[str, ...]
) -> None:
    for seed in range(8):
        root = Root(SimulatedDisk(ROOT, seed))
        root.commit((1, b"one" * 200), (2, b""))
        root.publish(1, "a")
        for step in steps:
            getattr(root.store.flusher, step)()
        root.disk.crash(kind)
        root.open()
        assert (root.read(draft_of(1)) or root.read("a")) == b"one" * 200, f"seed {seed}"
        assert root.read(draft_of(2)) == b"", f"seed {seed}"
        root.disk.crash("power")
        root.open()
        assert (root.read(draft_of(1)) or root.read("a")) == b"one" * 200, f"seed {seed}"


def test_what_was_read_stays_readable_while_the_root_is_opened_again() -> None:
    root = Root(SimulatedDisk(ROOT))
    root.commit((1, b"one"))
    root.publish(1, "a")
    root.logged.begin_again()
    assert root.read("a") == b"one"
    assert root.names() == ["a"]
    root.logged.begun()
    assert root.read("a") is None


# --- damage of the log ---


@given(
    st.lists(st.sampled_from([RECORD_MAGIC, b"E", b"ES", b"ESC", b"\0" * 9, b"x"])).map(b"".join)
)
def test_no_bytes_hold_the_head_of_a_record(data: bytes) -> None:
    pieces = without_heads(data)
    assert b"".join(pieces) == data
    entry = record.encode_entries([StreamCommit("k", "", 0, 0, pieces)])
    assert RECORD_MAGIC not in entry


def test_an_object_made_to_look_like_a_record_is_no_later_record() -> None:
    """Else whoever may put an object could have a torn tail be taken for damage."""
    root = Root(SimulatedDisk(ROOT))
    forged = record.encode_record(9, 1, b"", bytes(32))
    assert [head.lsn for _, head in heads_in(forged, 0)] == [9]
    root.commit((1, forged + b"tail" * 30))
    data = root.disk.read_file(LOG) or b""
    assert [head.lsn for _, head in heads_in(data, 0)] == [1]
    torn = data[: data.index(b"ESCR") + 200]
    root.disk.crash("process")
    root.disk.damage(LOG, torn.ljust(len(data), b"\0"))
    root.disk.damage(ROOT / "commit_log" / "seal", bytes(64))
    root.open()  # and cuts the tail
    assert root.read(draft_of(1)) is None


@pytest.mark.parametrize("flushed", [False, True])
def test_damaged_bytes_in_the_log_cost_that_blob_at_most(flushed: bool) -> None:
    content = random.Random(1).randbytes(SMALL_MAX)
    root = Root(SimulatedDisk(ROOT))
    root.commit((1, content), (2, b"two"))
    root.commit((3, b"three"))
    if flushed:
        root.store.flusher.flush()
    data = bytearray(root.disk.read_file(LOG) or b"")
    at = data.index(content[:32])
    for n in range(2):  # more than the one bit that could be guessed
        data[at + n] ^= 0xFF
    root.disk.crash("process")
    root.disk.damage(LOG, bytes(data))
    root.open()
    assert root.read(draft_of(3)) == b"three"
    assert root.read(draft_of(1)) == (content if flushed else None)
    assert root.read(draft_of(2)) == (b"two" if flushed else None)
    assert len(root.store.recovery.salvaged) == 1


# --- files that fail ---


class BadPlace(SimulatedDisk):
    """Whatever file is at a place, `fault` of it fails, for as long as the disk is there."""

    place = Path()
    fault = ""

    def _fails(self, name: str, path: Path) -> bool:
        return (name, path) == (self.fault, self.place) or super()._fails(name, path)


@pytest.mark.parametrize("fault", ["write", "sync"])
@pytest.mark.parametrize("many", [False, True])
def test_a_file_that_fails_for_good_costs_its_blob(fault: str, many: bool) -> None:
    disk = BadPlace(ROOT)
    root = Root(disk)
    root.commit((1, b"bad"), (2, b"good"))
    if many:
        root.commit(*((n, b"%d" % n) for n in range(10, 60)))
    disk.crash("process")
    disk.place, disk.fault = ROOT / FOLDER / draft_of(1), fault
    root.open()
    assert root.read(draft_of(2)) == b"good"
    assert root.read(draft_of(1)) == b"", "whoever knows its size is told"
    kept = [path for path in disk.files() if path.is_relative_to(ROOT / "quarantine")]
    assert [disk.read_file(path) for path in kept] == [b"bad"]
    if many:
        assert root.read(draft_of(59)) == b"59"
    root.store.close()


def test_a_corrupt_log_is_said_before_anything_is_written() -> None:
    root = Root(SimulatedDisk(ROOT))
    root.commit((1, b"one"))
    root.commit((2, b"two"))
    data = bytearray(root.disk.read_file(LOG) or b"")
    data[64 + 4 :][:1] = b"!"
    data[64:96] = bytes(32)
    root.disk.crash("process")
    root.disk.damage(LOG, bytes(data))
    with pytest.raises(StoreCorrupt):
        root.open()
    assert not [path for path in root.disk.files() if path.is_relative_to(ROOT / FOLDER)]
