"""Multipart uploads behind a spine: both backends, both loops, and over restarts on files."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from eventspine.contracts.errors import (
    ChecksumMismatch,
    InvalidParts,
    InvalidRequest,
    PreconditionFailed,
    StoreCorrupt,
    TooLarge,
    TooManyUploads,
    UploadNotFound,
)
from eventspine.contracts.object_uploads import Part
from eventspine.contracts.objects import Condition
from eventspine.services.object_bytes import PIECE_BYTES
from eventspine.services.object_uploads import ObjectUploads
from tests.stores.conftest import CONTEXT, Opener

pytestmark = pytest.mark.anyio
BLOBS = "object_store/t_demo/dev/_/blobs"


@pytest.fixture(params=["filesystem", "synced", "memory"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def pieces(*all_of_them: bytes) -> AsyncIterator[bytes]:
    for piece in all_of_them:
        yield piece


async def put(uploads: ObjectUploads, id: str, number: int, data: bytes, key: str = "k") -> Part:
    return await uploads.put_part(key, id, number, pieces(data))


def sums(*parts: Part) -> list[tuple[int, str]]:
    return [(part.number, part.sha256) for part in parts]


def files(root: Path) -> list[str]:
    folder = root / BLOBS
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


async def test_parts_in_any_order_become_an_object(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    big = bytes(range(256)) * (PIECE_BYTES // 100)
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        await objects.put_object("k", b"old")
        upload = await objects.uploads.create("k", content_type="video/mp4", metadata={"a": 1})
        last = await put(objects.uploads, upload.upload_id, 10_000, b"end")
        await put(objects.uploads, upload.upload_id, 2, b"first try")
        again = await put(objects.uploads, upload.upload_id, 2, big)
        dropped = await put(objects.uploads, upload.upload_id, 3, b"not listed")
        page = await objects.uploads.parts("k", upload.upload_id)
        assert page.parts == [again, dropped, last]
        assert (page.upload.parts, page.upload.size) == (3, len(big) + 13)
        assert await objects.get_object("k") == b"old", "nobody sees it before it is complete"
        stored = await objects.uploads.complete("k", upload.upload_id, sums(again, last))
        assert (stored.content_type, stored.metadata) == ("video/mp4", {"a": 1})
        assert stored.sha256 == hashlib.sha256(big + b"end").hexdigest()
        assert await objects.get_object("k") == big + b"end"
        assert (await objects.uploads.page()).uploads == []
        with pytest.raises(UploadNotFound):
            await put(objects.uploads, upload.upload_id, 1, b"late")
    if backend != "memory":
        assert files(tmp_path) == ["k"], "the parts are gone"


async def test_to_complete_again_answers_what_is_there(opener: Opener) -> None:
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        id = (await objects.uploads.create("k")).upload_id
        part = await put(objects.uploads, id, 1, b"x")
        absent = Condition(if_absent=True)
        found = []

        async def complete() -> None:
            stored = await objects.uploads.complete("k", id, sums(part), condition=absent)
            found.append(stored)

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(complete)
        await complete()
        assert found == [await objects.head("k")] * 9
        await objects.put_object("k", b"another")
        with pytest.raises(UploadNotFound):
            await complete()


async def test_uploads_outlive_a_restart(opener: Opener, backend: str) -> None:
    if backend == "memory":
        pytest.skip("memory does not survive, and says so")
    async with opener() as spine:
        uploads = spine.objects(CONTEXT).uploads
        id = (await uploads.create("k", metadata=["é"])).upload_id
        one = await put(uploads, id, 1, b"one")
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        await objects.put_object("other", b"so that the folder is tidied")
        two = await put(objects.uploads, id, 2, b" two")
        assert (await objects.uploads.parts("k", id)).parts == [one, two]
        stored = await objects.uploads.complete("k", id, sums(one, two))
        assert stored.metadata == ["é"]
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        assert await objects.get_object("k") == b"one two"
        assert await objects.uploads.complete("k", id, sums(one, two)) == stored


async def test_what_does_not_fit_is_refused_and_changes_nothing(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener(object_bytes_max=10, object_uploads_max=2) as spine:
        objects = spine.objects(CONTEXT)
        uploads = objects.uploads
        id = (await uploads.create("k")).upload_id
        one = await put(uploads, id, 1, b"12345")
        two = await put(uploads, id, 2, b"678")
        with pytest.raises(TooLarge):
            await put(uploads, id, 3, b"9ab")
        with pytest.raises(TooLarge) as small:
            await uploads.put_part("k", id, 3, pieces(b"xx"), size_max=1)
        assert small.value.fields["limit"] == "size_max"
        with pytest.raises(ChecksumMismatch):
            await uploads.put_part("k", id, 2, pieces(b"x"), sha256="0" * 64)
        for number in (0, -1, 10_001):
            with pytest.raises(InvalidParts):
                await put(uploads, id, number, b"")
        for key, other in (("j", id), ("k", "0" * 32)):
            with pytest.raises(UploadNotFound):
                await put(uploads, other, 1, b"", key)
            with pytest.raises(UploadNotFound):
                await uploads.complete(key, other, sums(one))
            with pytest.raises(UploadNotFound):
                await uploads.abort(key, other)
        wrong = [[], sums(two, one), sums(one, one), [(3, one.sha256)], [(1, two.sha256)]]
        for listed in wrong:
            with pytest.raises(InvalidParts):
                await uploads.complete("k", id, listed)
        with pytest.raises(ChecksumMismatch):
            await uploads.complete("k", id, sums(one), sha256="0" * 64)
        with pytest.raises(PreconditionFailed):
            await uploads.complete("k", id, sums(one), condition=Condition("*"))
        with pytest.raises(InvalidRequest):
            await uploads.create("k", content_type="text")
        await uploads.create("other")
        with pytest.raises(TooManyUploads):
            await uploads.create("third")
        assert (await uploads.parts("k", id)).parts == [one, two]
        assert await objects.head("k") is None
    if backend != "memory":
        assert len(files(tmp_path)) == 2, "two parts and nothing else"


async def test_an_abort_gives_the_bytes_back(opener: Opener, backend: str, tmp_path: Path) -> None:
    async with opener() as spine:
        uploads = spine.objects(CONTEXT).uploads
        id = (await uploads.create("k")).upload_id
        part = await put(uploads, id, 1, b"x")
        await uploads.abort("k", id)
        with pytest.raises(UploadNotFound):
            await uploads.complete("k", id, sums(part))
        with pytest.raises(UploadNotFound):
            await uploads.parts("k", id)
        assert files(tmp_path) == []


async def test_what_changes_while_bytes_come_is_seen(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener() as spine:
        uploads = spine.objects(CONTEXT).uploads
        id = (await uploads.create("k")).upload_id

        async def aborting() -> AsyncIterator[bytes]:
            yield b"half"
            await uploads.abort("k", id)
            yield b"rest"

        with pytest.raises(UploadNotFound):
            await uploads.put_part("k", id, 1, aborting())
    assert files(tmp_path) == []


async def test_pages_of_uploads_and_of_parts(opener: Opener) -> None:
    async with opener(object_list_max=2) as spine:
        uploads = spine.objects(CONTEXT).uploads
        made = [await uploads.create(key) for key in ("b", "a:1", "b", "a", "c", "b")]
        found, after = [], None
        while True:
            page = await uploads.page("b", after=after)
            found += page.uploads
            after = page.next
            if after is None:
                break
        assert sorted(one.upload_id for one in found) == sorted(
            one.upload_id for one in made if one.key == "b"
        )
        assert [one.key for one in (await uploads.page(limit=9)).uploads] == ["a", "a:1"]
        id = made[0].upload_id
        for number in (5, 1, 9):
            await put(uploads, id, number, b"", "b")
        first = await uploads.parts("b", id)
        assert ([part.number for part in first.parts], first.next) == ([1, 5], 5)
        rest = await uploads.parts("b", id, after=5)
        assert ([part.number for part in rest.parts], rest.next) == ([9], None)
        with pytest.raises(InvalidRequest):
            await uploads.page(limit=0)


async def test_a_damaged_part_never_becomes_an_object(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    if backend == "memory":
        pytest.skip("memory has no files")
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        id = (await objects.uploads.create("k")).upload_id
        part = await put(objects.uploads, id, 1, b"right")
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        (file,) = (tmp_path / BLOBS).iterdir()
        for wrong in (b"wrong", b"rig", b"right+"):
            file.write_bytes(wrong)
            with pytest.raises(StoreCorrupt, match="part 1"):
                await objects.uploads.complete("k", id, sums(part))
        file.unlink()
        with pytest.raises(StoreCorrupt, match="missing"):
            await objects.uploads.complete("k", id, sums(part))
        assert await objects.head("k") is None
        again = await put(objects.uploads, id, 1, b"again")
        await objects.uploads.complete("k", id, sums(again))
        assert await objects.get_object("k") == b"again"
    assert files(tmp_path) == ["k"]


async def test_a_signed_address_is_for_one_part(opener: Opener) -> None:
    async with opener() as spine:
        uploads = spine.objects(CONTEXT).uploads
        id = (await uploads.create("k")).upload_id
        made = await uploads.presign_part("k", id, 7, "image/png", 10, 60)
        grant = await spine.upload_grant(made.token)
        assert (grant.key, grant.upload_id, grant.part, grant.size_max) == ("k", id, 7, 10)
        whole = await spine.objects(CONTEXT).presign_upload("k", "image/png", 10, 60)
        assert (await spine.upload_grant(whole.token)).upload_id == ""
        with pytest.raises(UploadNotFound):
            await uploads.presign_part("k", "0" * 32, 7)
        with pytest.raises(InvalidParts):
            await uploads.presign_part("k", id, 0)
        with pytest.raises(InvalidRequest):
            await uploads.presign_part("k", id, 1, "image/png", -1)


async def test_scopes_do_not_see_each_other(opener: Opener) -> None:
    async with opener() as spine:
        other = CONTEXT.model_copy(update={"surface_id": "SQUARED²"})
        id = (await spine.objects(CONTEXT).uploads.create("k")).upload_id
        theirs = spine.objects(other).uploads
        assert (await theirs.page()).uploads == []
        with pytest.raises(UploadNotFound):
            await put(theirs, id, 1, b"x")


async def test_many_parts_at_once_and_one_number_several_times(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        id = (await objects.uploads.create("k")).upload_id

        async def put_one(n: int) -> None:
            await put(objects.uploads, id, n % 8 + 1, b"%d;" % n)

        async with anyio.create_task_group() as tasks:
            for n in range(48):
                tasks.start_soon(put_one, n)
        found = (await objects.uploads.parts("k", id)).parts
        assert [part.number for part in found] == list(range(1, 9))
    if backend != "memory":
        assert len(files(tmp_path)) == 8, "what was replaced is gone"
    async with opener() as spine:
        if backend == "memory":
            pytest.skip("memory does not survive, and says so")
        objects = spine.objects(CONTEXT)
        await objects.uploads.complete("k", id, sums(*found))
        numbers = [int(text) for text in (await objects.get_object("k")).split(b";")[:-1]]
        assert [n % 8 for n in numbers] == list(range(8))
    if backend != "memory":
        assert files(tmp_path) == ["k"]
