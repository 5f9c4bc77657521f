"""A crash at any disk operation of an upload leaves the old object or the new one, and no orphans.

The whole product on a simulated disk; each life ends at another operation, by a kill or a power
cut. The next life looks: the key reads as one of the two contents, as the new one if its completion
was answered, an answered part can still be completed, and after a sweep there is no byte too many.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from eventspine.contracts.errors import EventspineError, UploadNotFound
from eventspine.contracts.limits import Limits
from eventspine.contracts.object_uploads import Part
from eventspine.contracts.objects import StoredObject
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import Settings, StorageSettings
from eventspine.contracts.wire import WallClock
from eventspine.services.spine import Spine
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.inner import stride
from tests.simulation.lives import ROOT, Kind, Lives
from tests.stores.conftest import CONTEXT, LAB

BLOBS = ROOT / "object_store/t_demo/dev/_/blobs"
OLD, NEW = b"old" * 300, b"one" * 400 + b"two" * 200
SETTINGS = Settings(
    lab=LAB,
    limits=Limits(upload_idle_s_max=100, upload_sweep_s=3600),
    storage=StorageSettings(log_segment_bytes=64 * 1024),
)
T0 = 1_800_000_000.0


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data[:500]
    yield data[500:]


class Story:
    """An object, replaced by one in parts of which one is put twice. Notes what was answered."""

    def __init__(self) -> None:
        self.is_old = self.is_new = False
        self.id = ""
        self.parts: dict[int, Part] = {}

    async def run(self, spine: Spine) -> None:
        spine._journals._clock = WallClock(lambda: T0)
        objects = spine.objects(CONTEXT)
        await objects.put_object("k", OLD)
        self.is_old = True
        self.id = (await objects.uploads.create("k")).upload_id
        for number, data in ((2, NEW[1200:]), (1, b"wrong"), (1, NEW[:1200]), (7, b"extra")):
            part = await objects.uploads.put_part("k", self.id, number, pieces(data))
            self.parts[number] = part
        del self.parts[7]
        listed = [(number, self.parts[number].sha256) for number in (1, 2)]
        await objects.uploads.complete("k", self.id, listed)
        self.is_new = True

    async def judge(self, spine: Spine, where: str, goes_on: bool) -> None:
        """Args: goes_on: the upload is completed now, if there is one; else it is given up."""
        spine._journals._clock = WallClock(lambda: T0)
        objects = spine.objects(CONTEXT)
        stored = await objects.head("k")
        content = None if stored is None else await objects.get_object("k")
        assert content in ((NEW,) if self.is_new else (OLD, NEW) if self.is_old else (OLD, None))
        if self.id and content != NEW:
            await self._parts_are_there(spine, where)
            if goes_on and self.parts.keys() >= {1, 2}:
                stored = await self._go_on(spine, where)
        spine._journals._clock = WallClock(lambda: T0 + 101)
        await spine.upload_expiry.sweep(CONTEXT.scope)
        assert (await objects.uploads.page()).uploads == [], where
        assert await objects.head("k") == stored, where

    async def _parts_are_there(self, spine: Spine, where: str) -> None:
        page = await spine.objects(CONTEXT).uploads.parts("k", self.id)
        for number, part in self.parts.items():
            found = {one.number: one for one in page.parts}[number]
            replaced = number == 1 and found.size != part.size  # by what was not answered
            assert found == part or replaced, where

    async def _go_on(self, spine: Spine, where: str) -> StoredObject:
        uploads = spine.objects(CONTEXT).uploads
        await uploads.put_part("k", self.id, 1, pieces(NEW[:1200]))
        page = await uploads.parts("k", self.id)
        listed = [(part.number, part.sha256) for part in page.parts if part.number != 7]
        stored = await uploads.complete("k", self.id, listed)
        assert await spine.objects(CONTEXT).get_object("k") == NEW, where
        return stored


async def founded(spine: Spine) -> None:
    if not spine.routes.list():
        kind = ResourceKind.OBJECT_STORE
        spec = RouteSpec(resource_kind=kind, backend_type="filesystem", **LAB.model_dump())
        await spine.routes.create(spec)


LIVES = Lives(SETTINGS, founded)


@pytest.mark.parametrize("kind", ["process", "power"])
def test_a_crash_at_any_disk_operation_leaves_one_object_or_the_other(
    kind: Kind,
) -> None:
    begin, end = LIVES.operations(Story().run)
    assert end - begin > 40, "there is something to crash in"
    crashes = 0
    for crash_at in range(begin + 1, end + 1, stride(7)):
        where = f"{kind} at operation {crash_at}, seed {crash_at}"
        story = Story()
        disk, came = LIVES.crash(crash_at, kind, story.run)
        crashes += came
        judge = partial(story.judge, where=where, goes_on=crash_at % 2 == 0)
        LIVES.live(disk, judge, crash_at)
        names = [path.name for path in disk.files() if path.is_relative_to(BLOBS)]
        assert set(names) <= {"k"}, f"{where}: {names}"
    assert crashes * stride(7) > 40, "the crashes came"


def test_an_upload_that_failed_is_not_found_and_not_half_there() -> None:
    """A disk that is full in the middle of completing: the old object stays, and the upload."""
    disk = SimulatedDisk(ROOT, 1)

    async def work(spine: Spine) -> None:
        spine._journals._clock = WallClock(lambda: T0)
        objects = spine.objects(CONTEXT)
        await objects.put_object("k", OLD)
        id = (await objects.uploads.create("k")).upload_id
        part = await objects.uploads.put_part("k", id, 1, pieces(NEW))
        disk.space_bytes = 600
        with pytest.raises(EventspineError):
            await objects.uploads.complete("k", id, [(1, part.sha256)])
        disk.space_bytes = None
        assert await objects.get_object("k") == OLD
        stored = await objects.uploads.complete("k", id, [(1, part.sha256)])
        assert await objects.get_object("k") == NEW
        assert stored.upload == id
        with pytest.raises(UploadNotFound):
            await objects.uploads.abort("k", id)

    LIVES.live(disk, work, 1)
    assert [path.name for path in disk.files() if path.is_relative_to(BLOBS)] == ["k"]
