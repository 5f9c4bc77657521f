"""Small objects by way of the log: a crash at any disk operation leaves one content or another.

The whole product on a simulated disk. A story puts, overwrites and deletes small objects and large
ones under the same keys, with flushes and checkpoints in between; each life ends at another
operation, by a kill or a power cut. The next life looks: every key reads as what was answered last,
or as what was under way; after its end there is one file for each object and none besides.
"""

from __future__ import annotations

import logging
import random
from contextlib import suppress
from functools import partial
from typing import Literal

import pytest
import trio

from eventspine.adapters.filesystem.blobs.files import BlobFiles
from eventspine.adapters.filesystem.blobs.store import FilesystemBlobStore
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.recovery import blobs as recovery
from eventspine.contracts.errors import EventspineError, ObjectNotFound
from eventspine.contracts.objects import blob_name
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import AuditSettings, Settings, StorageSettings
from eventspine.services.spine import Spine
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.simulation.lives import ROOT, life
from tests.simulation.plant import Bug, Change
from tests.stores.conftest import CONTEXT, LAB

BLOBS = ROOT / "object_store/t_demo/dev/_/blobs"
KEYS = ("k", "l/m")
SMALL, LARGE = 300, 2500
Crash = Literal["process", "power"]


def settings_of(*, whole: bool, flush_interval_s: float = 0.01) -> Settings:
    """Checkpoints sync the file system as a `whole`, or file by file."""
    storage = StorageSettings.model_construct(
        log_segment_bytes=4000,
        log_segments_max=3,
        flush_interval_s=flush_interval_s,
        open_files_max=8,
        sync_files_max=0 if whole else 1000,
        unflushed_bytes_max=3000,
        logged_object_bytes_max=1000,
    )
    return Settings(lab=LAB, storage=storage, audit=AuditSettings(kinds=()))


class Story:
    """Random deeds with two keys. `known`: what each may hold; one thing, if nothing is open."""

    def __init__(self, seed: int, deeds: int = 24) -> None:
        self.rng = random.Random(f"deeds {seed}")
        self.deeds = deeds
        self.known: dict[str, set[bytes | None]] = {key: {None} for key in KEYS}
        self.begins_at = 0

    async def run(self, disk: SimulatedDisk, spine: Spine) -> None:
        if not spine.routes.list():
            kind = ResourceKind.OBJECT_STORE
            await spine.routes.create(
                RouteSpec(resource_kind=kind, backend_type="filesystem", **LAB.model_dump())
            )
        self.begins_at = disk.operations
        for number in range(self.deeds):
            await self.deed(spine, number)
            await trio.sleep(self.rng.choice([0, 0, 0.003, 0.02]))

    async def deed(self, spine: Spine, number: int) -> None:
        objects, key = spine.objects(CONTEXT), self.rng.choice(KEYS)
        content: bytes | None = None
        if self.rng.random() < 0.8:
            size = self.rng.choice([0, 1, SMALL, SMALL, SMALL, LARGE])
            content = (b"%06d;" % number * size)[:size]
        before = self.known[key]
        self.known[key] = before | {content}
        if content is None:
            if self.rng.random() < 0.5:  # what is deleted may still be on its way to its file
                self.known[key] |= {b"short-lived"}
                await objects.put_object(key, b"short-lived")
            await objects.delete_object(key)
        else:
            await objects.put_object(key, content)
        self.known[key] = {content}
        if self.rng.random() < 0.3:
            await self.look(spine, f"deed {number}")

    async def look(self, spine: Spine, where: str) -> None:
        """Every key reads as one of what it may hold, and holds that from now on."""
        objects = spine.objects(CONTEXT)
        for key, may in self.known.items():
            try:
                found: bytes | None = await objects.get_object(key)
            except ObjectNotFound:
                found = None
            assert found in may, f"{where}: {key} reads {found!r}"
            self.known[key] = {found}

    @property
    def files(self) -> set[str]:
        return {blob_name(key) for key, may in self.known.items() if may != {None}}


def blobs_of(disk: SimulatedDisk) -> dict[str, bytes | None]:
    return {path.name: disk.read_file(path) for path in disk.files() if path.is_relative_to(BLOBS)}


def check_files(disk: SimulatedDisk, story: Story, where: str) -> None:
    """After a clean stop: a file for each object, with its bytes, and nothing else."""
    wanted = {blob_name(key): may.copy().pop() for key, may in story.known.items()}
    assert blobs_of(disk) == {n: data for n, data in wanted.items() if data is not None}, where


def lives(seed: int, crash_at: int | None, kind: Crash, settings: Settings) -> bool:
    """A story, a crash, a look. Answers whether it crashed; raises what is wrong."""
    where = f"{kind} at operation {crash_at}, seed {seed}"
    disk, story = SimulatedDisk(ROOT, seed), Story(seed)
    disk.crash_at = crash_at
    trio.run(life, disk, seed, settings, partial(story.run, disk))
    crashed = disk.is_down
    disk.crash(kind)
    trio.run(life, disk, seed, settings, partial(story.look, where=where))
    check_files(disk, story, where)
    return crashed


def operations_of(seed: int, settings: Settings) -> tuple[int, int]:
    disk, story = SimulatedDisk(ROOT, seed), Story(seed)
    trio.run(life, disk, seed, settings, partial(story.run, disk))
    check_files(disk, story, f"seed {seed}, no crash")
    return story.begins_at, disk.operations


WAYS = pytest.mark.parametrize("whole", [False, True], ids=["files", "filesystem"])


@WAYS
@pytest.mark.parametrize("kind", ["process", "power"])
def test_a_crash_at_a_disk_operation_leaves_what_was_answered(kind: Crash, whole: bool) -> None:
    settings = settings_of(whole=whole)
    begin, end = operations_of(1, settings)
    assert end - begin > 100, "there is something to crash in"
    crashes = sum(lives(1, at, kind, settings) for at in range(begin + 1, end + 1, 9))
    assert crashes > 12, "the crashes came"


@pytest.mark.slow
@pytest.mark.timeout(600)
@WAYS
@pytest.mark.parametrize("kind", ["process", "power"])
@pytest.mark.parametrize("seed", [2, 3])
def test_a_crash_at_every_fourth_disk_operation_leaves_what_was_answered(
    kind: Crash, whole: bool, seed: int
) -> None:
    """Every operation of any one story costs a minute each: another seed looks at others."""
    settings = settings_of(whole=whole)
    begin, end = operations_of(seed, settings)
    assert sum(lives(seed, at, kind, settings) for at in range(begin + seed, end + 1, 4)) > 25


def test_small_ones_go_by_the_log_and_large_ones_do_not() -> None:
    """That the stories above are about what they say."""
    disk, settings = SimulatedDisk(ROOT, 0), settings_of(whole=True, flush_interval_s=1.0)
    seen: list[set[str]] = []

    async def work(spine: Spine) -> None:
        await Story(0, deeds=0).run(disk, spine)
        objects = spine.objects(CONTEXT)
        await objects.put_object("k", b"s" * SMALL)
        seen.append(set(blobs_of(disk)))
        await objects.put_object("l/m", b"l" * LARGE)
        seen.append(set(blobs_of(disk)))

    trio.run(life, disk, 0, settings, work)
    assert "k" not in seen[0], "its file comes later"
    assert blob_name("l/m") in seen[1]
    assert set(blobs_of(disk)) == {"k", blob_name("l/m")}


# --- failures that are no crash ---


@WAYS
def test_a_failing_sync_or_write_costs_an_outage_and_no_object(
    whole: bool, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(whole=whole)
    begin, end = operations_of(4, settings)
    for at in range(begin + 1, end + 1, 11):
        disk, story = SimulatedDisk(ROOT, at), Story(4)
        disk.failing_operations = frozenset([at])
        with suppress(BaseExceptionGroup):
            trio.run(life, disk, at, settings, partial(story.run, disk))
        disk.failing_operations = frozenset()
        disk.crash("power")
        trio.run(life, disk, at, settings, partial(story.look, where=f"EIO at {at}"))
        check_files(disk, story, f"EIO at operation {at}, seed 4")
    outages = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert outages, "none of the failures was met"


@pytest.mark.parametrize("room", [0, 700, 1500, 5000])
def test_a_full_disk_refuses_what_it_cannot_take_and_loses_nothing(room: int) -> None:
    disk, story = SimulatedDisk(ROOT, room), Story(5)

    async def work(spine: Spine) -> None:
        await Story(0, deeds=0).run(disk, spine)
        for number in range(20):
            if number == 6:
                disk.space_bytes = room
            with suppress(EventspineError):
                await story.deed(spine, number)
            await trio.sleep(0.03)
        disk.space_bytes = None
        await trio.sleep(1.5)
        await story.look(spine, f"full after {room}")

    trio.run(life, disk, room, settings_of(whole=True), work)
    assert not disk.is_down
    check_files(disk, story, f"full after {room}")


# --- planted bugs ---

BUGS = [
    Bug(
        "blobs not synced at a checkpoint",
        "the log is dropped while their files are in the page cache only",
        (Change(BlobFiles, "sync", "unsynced and self._sync_whole(len(unsynced))", "True"),),
    ),
    Bug(
        "blobs of the log not recovered",
        "what was not in files yet is gone with the log",
        (Change(recovery, "_complete", "        files.write()\n", "        pass\n"),),
    ),
    Bug(
        "an older small object comes back over a large one",
        "what waits under the name is not dropped when a large object gets it",
        (Change(FilesystemBlobStore, "_publish", "logged.forget(folder, name)", "pass"),),
    ),
    Bug(
        "deleted bytes come back",
        "what waits under a name is written after the name was deleted",
        (Change(FilesystemBlobStore, "_delete", "self._logged.forget(folder, name)", "False"),),
    ),
    Bug(
        "blobs durable and not told",
        "the bytes are in the log and nobody can read them",
        (Change(FilesystemEventStreamStore, "open", "logged)\n", "LoggedBlobs())\n"),),
    ),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    with bug.planted():
        for seed in range(12):
            for whole in (True, False):
                settings = settings_of(whole=whole)
                try:
                    begin, end = operations_of(seed, settings)
                    for at in range(begin + 1, end + 1, 5):
                        lives(seed, at, "power", settings)
                except (AssertionError, EventspineError, BaseExceptionGroup) as error:
                    print(f"{bug.name}: {error!r}")
                    return
    pytest.fail(f"{bug.what}: not found")
