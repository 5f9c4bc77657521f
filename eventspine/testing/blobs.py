"""What every BlobStore must do. Subclass it; `open` answers a store on the same place each time."""

from __future__ import annotations

import hashlib

import anyio

from eventspine.contracts.blobs import BlobStore

FOLDER = "object_store/t/dev/_/blobs"


class BlobStoreSuite:
    durable = True

    def open(self) -> BlobStore:
        raise NotImplementedError

    async def draft(self, store: BlobStore, name: str, *pieces: bytes) -> str:
        draft = await store.begin(FOLDER, name)
        for piece in pieces:
            await draft.write(piece)
        await draft.finish()
        await draft.aclose()
        assert draft.size == sum(map(len, pieces))
        return draft.sha256

    async def read(self, store: BlobStore, name: str) -> bytes | None:
        reader = await store.open(FOLDER, name)
        if reader is None:
            return None
        try:
            return await reader.read(reader.size + 1, 0)
        finally:
            await reader.aclose()

    async def test_a_folder_nobody_wrote_to_is_empty(self) -> None:
        store = self.open()
        assert await store.names(FOLDER) == []
        assert await store.open(FOLDER, "a") is None
        assert not await store.delete(FOLDER, "a")
        assert not await store.publish(FOLDER, "d.new", "a")

    async def test_a_draft_becomes_what_a_name_stands_for(self) -> None:
        store = self.open()
        sha256 = await self.draft(store, "d.new", b"one", b"", b" two")
        assert sha256 == hashlib.sha256(b"one two").hexdigest()
        assert await store.names(FOLDER) == ["d.new"]
        assert await self.read(store, "a") is None
        assert await store.publish(FOLDER, "d.new", "a")
        assert await store.names(FOLDER) == ["a"]
        assert await self.read(store, "a") == b"one two"
        if self.durable:
            assert await self.read(self.open(), "a") == b"one two"

    async def test_publishing_replaces_and_a_reader_keeps_what_it_opened(self) -> None:
        store = self.open()
        await self.draft(store, "1.new", b"old")
        await store.publish(FOLDER, "1.new", "a")
        reader = await store.open(FOLDER, "a")
        assert reader is not None
        await self.draft(store, "2.new", b"newer")
        assert await store.publish(FOLDER, "2.new", "a")
        assert await self.read(store, "a") == b"newer"
        assert (reader.size, await reader.read(9, 0)) == (3, b"old")
        assert await store.delete(FOLDER, "a")
        assert await reader.read(2, 1) == b"ld"
        await reader.aclose()
        await reader.aclose()
        assert await self.read(store, "a") is None
        assert await store.names(FOLDER) == []

    async def test_any_range_is_read(self) -> None:
        store = self.open()
        data = bytes(range(256)) * 20
        await self.draft(store, "1.new", data[:1000], data[1000:])
        reader = await store.open(FOLDER, "1.new")
        assert reader is not None
        for offset, count in ((0, 0), (0, 1), (999, 2), (5119, 9), (5120, 1), (9999, 1)):
            assert await reader.read(count, offset) == data[offset : offset + count]
        await reader.aclose()

    async def test_what_is_at_hand_is_what_a_name_stands_for(self) -> None:
        store = self.open()
        assert store.at_hand(FOLDER, "a", 3) is None
        await self.draft(store, "1.new", b"old")
        await store.publish(FOLDER, "1.new", "a")
        await self.read(store, "a")  # fetched, if it had to be
        assert store.at_hand(FOLDER, "a", 3) in (b"old", None)
        assert store.at_hand(FOLDER, "a", 2) is None
        assert store.at_hand(FOLDER, "a", 4) is None
        await self.draft(store, "2.new", b"new")
        await store.publish(FOLDER, "2.new", "a")
        assert store.at_hand(FOLDER, "a", 3) in (b"new", None)
        await store.delete(FOLDER, "a")
        assert store.at_hand(FOLDER, "a", 3) is None

    async def test_folders_are_apart(self) -> None:
        store = self.open()
        await self.draft(store, "1.new", b"x")
        assert await store.names("object_store/t/dev/other/blobs") == []
        assert await store.open("object_store/t/dev/other/blobs", "1.new") is None

    async def test_many_drafts_at_once(self) -> None:
        store = self.open()

        async def one(n: int) -> None:
            await self.draft(store, f"{n}.new", b"%d" % n, b"!")
            assert await store.publish(FOLDER, f"{n}.new", str(n))

        async with anyio.create_task_group() as tasks:
            for n in range(64):
                tasks.start_soon(one, n)
        assert len(await store.names(FOLDER)) == 64
        for n in range(64):
            assert await self.read(store, str(n)) == b"%d!" % n
