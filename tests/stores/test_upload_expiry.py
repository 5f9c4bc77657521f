"""Uploads that nothing comes to are given up, on a clock by hand; their bytes go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from eventspine import Spine
from eventspine.contracts.context import Scope
from eventspine.contracts.errors import UploadNotFound
from eventspine.contracts.wire import WallClock
from tests.stores.conftest import CONTEXT, Opener
from tests.stores.test_object_uploads import files, put, sums

pytestmark = pytest.mark.anyio
NEVER = 3600.0  # no sweep but those that a test asks for
T0 = 1_800_000_000.0


def at(spine: Spine, second: float) -> None:
    spine._journals._clock = WallClock(lambda: T0 + second)


async def test_what_is_idle_is_given_up_and_what_is_busy_is_not(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener(upload_idle_s_max=100, upload_sweep_s=NEVER) as spine:
        uploads, sweep = spine.objects(CONTEXT).uploads, spine.upload_expiry.sweep
        at(spine, 0)
        empty = (await uploads.create("empty")).upload_id
        idle = (await uploads.create("idle")).upload_id
        busy = (await uploads.create("busy")).upload_id
        at(spine, 90)
        await put(uploads, idle, 1, b"x", "idle")
        await put(uploads, idle, 2, b"y", "idle")
        at(spine, 99.999)
        assert await sweep(CONTEXT.scope) == 0
        assert len((await uploads.page()).uploads) == 3
        swept = []

        async def slow() -> AsyncIterator[bytes]:
            yield b"half"
            for second in (100, 189.999, 190):
                at(spine, second)
                swept.append((await sweep(CONTEXT.scope), len((await uploads.page()).uploads)))
            yield b"rest"

        part = await uploads.put_part("busy", busy, 1, slow())
        assert swept == [(0, 2), (0, 2), (2, 1)]
        for key, id in (("empty", empty), ("idle", idle)):
            with pytest.raises(UploadNotFound):
                await uploads.parts(key, id)
        await uploads.complete("busy", busy, sums(part))
        assert (await uploads.page()).uploads == []
    if backend == "filesystem":
        assert files(tmp_path) == ["busy"]


async def test_it_is_done_by_itself_and_after_a_restart(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener(upload_sweep_s=NEVER) as spine:
        uploads = spine.objects(CONTEXT).uploads
        at(spine, 0)
        await put(uploads, (await uploads.create("k")).upload_id, 1, b"x")
    async with opener(upload_idle_s_max=100, upload_sweep_s=0.001) as spine:
        assert "upload sweep" in [child.name for child in spine.tree().children]
        gone, note = anyio.Event(), spine._shelves.note

        def noted(scope: Scope, oldest: str | None) -> None:
            note(scope, oldest)
            if oldest is None:
                gone.set()

        spine._shelves.note = noted
        at(spine, 50)
        objects = spine.objects(CONTEXT)
        await objects.uploads.create("another")
        at(spine, 151)
        assert len((await objects.uploads.page()).uploads) == (2 if backend != "memory" else 1)
        with anyio.fail_after(20):
            await gone.wait()
    async with opener(upload_sweep_s=NEVER) as spine:
        await spine.objects(CONTEXT).put_object("k", b"used again")
        assert (await spine.objects(CONTEXT).uploads.page()).uploads == []
    if backend == "filesystem":
        assert files(tmp_path) == ["k"]
