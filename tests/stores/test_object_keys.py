"""Changes of one key that overtake each other between their record and their file."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import anyio
import pytest

from eventspine.adapters.memory.blobs import MemoryBlobStore
from eventspine.contracts.errors import PreconditionFailed, TooLarge
from eventspine.contracts.objects import Condition
from eventspine.services.object_bytes import SizeLimit
from eventspine.services.object_incoming import Incoming, OneContent
from eventspine.services.object_keys import KeyTurns
from eventspine.services.object_shelf import Shelf
from tests.stores.conftest import CONTEXT, Opener
from tests.stores.test_objects import pieces

pytestmark = pytest.mark.anyio
SMALL = 64 * 1024


@pytest.fixture(params=["filesystem", "synced", "memory"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def draft(store: MemoryBlobStore, blob: str) -> None:
    one = await store.begin("f", f"{blob}.new")
    await one.write(blob.encode())
    await one.finish()


async def test_a_change_that_was_overtaken_does_not_come_back() -> None:
    store = MemoryBlobStore()
    shelf = Shelf(store, "f")
    with shelf.in_use("k"), shelf.in_use("k"):  # both were decided
        for blob in ("one", "two"):
            await draft(store, blob)
        await shelf.publish("k", "two", 2)
        await shelf.publish("k", "one", 1)
    assert await store.names("f") == ["k"]
    reader = await store.open("f", "k")
    assert reader is not None
    assert await reader.read(9, 0) == b"two"


async def test_a_key_nobody_uses_is_forgotten() -> None:
    turns = KeyTurns()
    with turns.in_use("k") as outer:
        outer.version = 7
        async with turns.locked("k") as inner:
            assert inner is outer
    async with turns.locked("k") as again:
        assert again.version == 0


async def test_who_holds_a_key_holds_no_other() -> None:
    turns, order = KeyTurns(), []

    async def take(key: str) -> None:
        async with turns.locked(key):
            order.append(key)

    async with anyio.create_task_group() as tasks, turns.locked("a"):
        tasks.start_soon(take, "a")
        tasks.start_soon(take, "b")
        await anyio.wait_all_tasks_blocked()
        assert order == ["b"]


# --- small or large ---


@pytest.mark.parametrize("size", [0, 1, SMALL - 1, SMALL, SMALL + 1, 3 * SMALL])
async def test_any_size_comes_back_whole(opener: Opener, size: int) -> None:
    data = hashlib.shake_128(b"some bytes").digest(size)
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        await objects.put_object("k", b"older")
        stored = await objects.put_stream("k", pieces(data[:100], data[100:SMALL], data[SMALL:]))
        assert (stored.size, stored.sha256) == (size, hashlib.sha256(data).hexdigest())
        assert await objects.get_object("k") == data
        await objects.put_object("m", data)
        assert await objects.get_object("m") == data


async def test_a_large_body_is_not_taken_where_its_condition_does_not_hold(opener: Opener) -> None:
    taken = 0

    async def large() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield bytes(SMALL)

    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        await objects.put_object("k", b"there")
        with pytest.raises(PreconditionFailed):
            await objects.put_stream("k", large(), condition=Condition(if_absent=True))
        assert taken <= 2
        assert await objects.get_object("k") == b"there"


async def test_incoming_bytes_are_whole_or_more_come() -> None:
    for most, whole in ((0, None), (2, None), (3, b"abc"), (9, b"abc")):
        incoming = Incoming(pieces(b"a", b"", b"bc"), SizeLimit("size", 3))
        async with incoming.closing():
            assert await incoming.whole(most) == whole
    over = Incoming(OneContent(b"abcd"), SizeLimit("size", 3))
    with pytest.raises(TooLarge):
        await over.whole(9)
