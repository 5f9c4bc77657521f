"""Objects behind a spine: both backends, both loops, and over restarts on files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from eventspine.contracts.errors import (
    ChecksumMismatch,
    InvalidId,
    InvalidRequest,
    ObjectNotFound,
    PreconditionFailed,
    RangeNotSatisfiable,
    StoreCorrupt,
    TooLarge,
    UploadRefused,
)
from eventspine.contracts.objects import Condition
from eventspine.services.object_bytes import PIECE_BYTES
from eventspine.services.upload_grants import grant_of, token_of
from tests.stores.conftest import CONTEXT, Opener

pytestmark = pytest.mark.anyio
SCOPE = "object_store/t_demo/dev/_"


@pytest.fixture(params=["filesystem", "synced", "memory"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def pieces(*all_of_them: bytes) -> AsyncIterator[bytes]:
    for piece in all_of_them:
        yield piece


async def test_the_seed_s_four_operations(opener: Opener) -> None:
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        uri = await objects.put_object("reports/1.txt", b"one")
        assert uri == f"eventspine://{SCOPE}/blobs/reports%2f1%2etxt"
        await objects.put_object("reports/0.txt", b"")
        await objects.put_object("other", b"x")
        assert await objects.get_object("reports/1.txt") == b"one"
        assert await objects.get_object("reports/0.txt") == b""
        assert await objects.list_objects("reports/") == ["reports/0.txt", "reports/1.txt"]
        assert await objects.delete_object("reports/1.txt")
        assert not await objects.delete_object("reports/1.txt")
        with pytest.raises(ObjectNotFound):
            await objects.get_object("reports/1.txt")


async def test_an_object_is_a_file_and_a_line(opener: Opener, backend: str, tmp_path: Path) -> None:
    if backend == "memory":
        pytest.skip("memory has no files")
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        await objects.put_object("a/b", b"old")
        await objects.put_object("a/b", b"new")
    folder = tmp_path / SCOPE / "blobs"
    assert [path.name for path in folder.iterdir()] == ["a%2fb"]
    assert (folder / "a%2fb").read_bytes() == b"new"
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        await objects.delete_object("a/b")
        assert list(folder.iterdir()) == []
        await objects.put_object("c", b"see")
    assert [path.name for path in folder.iterdir()] == ["c"]
    last = json.loads((tmp_path / SCOPE / "objects.jsonl").read_text().splitlines()[-1])
    assert (last["key"], last["size"], last["version"]) == ("c", 3, 4)
    assert last["sha256"] == hashlib.sha256(b"see").hexdigest()


async def test_streams_and_ranges(opener: Opener) -> None:
    data = bytes(range(256)) * (PIECE_BYTES // 100)
    parts = [data[at : at + 70_000] for at in range(0, len(data), 70_000)]
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        stored = await objects.put_stream(
            "k", pieces(*parts), content_type="text/plain", metadata={"a": 1}
        )
        assert (stored.size, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert await objects.head("k") == stored
        assert await objects.get_object("k") == data
        for start, stop in ((0, 1), (5, None), (-7, None), (len(data) - 1, len(data) + 9)):
            async with objects.open_range("k", start, stop) as found:
                assert b"".join([one async for one in found.pieces()]) == data[start:stop]
        with pytest.raises(RangeNotSatisfiable):
            async with objects.open_range("k", len(data)):
                pass
        async with objects.open_range("k") as found:
            await objects.put_object("k", b"other")
            assert b"".join([one async for one in found.pieces()]) == data, "a reader keeps its own"


async def test_conditional_puts(opener: Opener) -> None:
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        absent = Condition(if_absent=True)
        first = await objects.put_stream("k", pieces(b"1"), condition=absent)
        with pytest.raises(PreconditionFailed):
            await objects.put_object("k", b"2", condition=absent)
        second = await objects.put_stream("k", pieces(b"2"), condition=Condition(first.etag))
        with pytest.raises(PreconditionFailed) as refused:
            await objects.put_object("k", b"3", condition=Condition(first.etag))
        assert refused.value.fields["current"] == second.etag
        with pytest.raises(PreconditionFailed):
            await objects.delete_object("k", condition=Condition(first.etag))
        assert await objects.get_object("k") == b"2"
        assert await objects.delete_object("k", condition=Condition("*"))
        with pytest.raises(PreconditionFailed):
            await objects.put_object("k", b"4", condition=Condition("*"))


async def test_of_sixty_four_who_create_one_wins(opener: Opener) -> None:
    async with opener() as spine:
        objects, won = spine.objects(CONTEXT), []

        async def create(n: int) -> None:
            try:
                await objects.put_object("k", b"%d" % n, condition=Condition(if_absent=True))
            except PreconditionFailed:
                return
            won.append(b"%d" % n)

        async with anyio.create_task_group() as tasks:
            for n in range(64):
                tasks.start_soon(create, n)
        assert won == [await objects.get_object("k")]


async def test_writers_readers_and_deleters_of_one_key_see_whole_contents(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener() as spine:
        objects = spine.objects(CONTEXT)

        async def write(n: int) -> None:
            for _ in range(4):
                await objects.put_object("k", b"%d" % n * (n + 1))

        async def read() -> None:
            for _ in range(8):
                try:
                    await objects.get_object("k")  # raises StoreCorrupt for a mix
                except ObjectNotFound:
                    continue

        async def delete() -> None:
            for _ in range(4):
                await objects.delete_object("k")

        async with anyio.create_task_group() as tasks:
            for n in range(16):
                tasks.start_soon(write, n)
                tasks.start_soon(read)
            tasks.start_soon(delete)
        there = await objects.head("k") is not None
    if backend != "memory":
        names = [path.name for path in (tmp_path / SCOPE).glob("blobs/*")]
        assert names == (["k"] if there else []), "no draft is left"


async def test_what_cannot_be_is_refused_and_leaves_nothing(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    async with opener(object_bytes_max=10) as spine:
        objects = spine.objects(CONTEXT)
        with pytest.raises(TooLarge) as refused:
            await objects.put_object("k", b"x" * 11)
        assert refused.value.fields["limit"] == "object_bytes_max"
        with pytest.raises(TooLarge):
            await objects.put_stream("k", pieces(b"xx"), size_max=1)
        with pytest.raises(ZeroDivisionError):
            await objects.put_stream("k", failing())
        with pytest.raises(ChecksumMismatch):
            await objects.put_stream("k", pieces(b"x"), sha256="0" * 64)
        with pytest.raises(InvalidId):
            await objects.put_object("", b"")
        with pytest.raises(InvalidRequest):
            await objects.put_object("k", b"", content_type="text\r\n/x")
        with pytest.raises(ObjectNotFound):
            await objects.register_asset("k", {})
        assert await objects.list_objects() == []
    assert list((tmp_path / SCOPE).glob("blobs/*")) == []


async def test_scopes_do_not_see_each_other(opener: Opener) -> None:
    async with opener() as spine:
        await spine.objects(CONTEXT).put_object("k", b"mine")
        other = CONTEXT.model_copy(update={"surface_id": "SQUARED²"})
        assert await spine.objects(other).list_objects() == []
        await spine.objects(other).put_object("k", b"theirs")
        assert await spine.objects(CONTEXT).get_object("k") == b"mine"


async def test_a_listing_goes_over_pages(opener: Opener) -> None:
    async with opener(object_list_max=3) as spine:
        objects = spine.objects(CONTEXT)
        for n in range(7):
            await objects.put_object(f"k{n}", b"")
        assert await objects.list_objects("k") == [f"k{n}" for n in range(7)]
        page = await objects.page(limit=100)
        assert (len(page.objects), page.next) == (3, "k2")


async def test_metadata_is_registered_afterwards(opener: Opener) -> None:
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        first = await objects.put_stream("k", pieces(b"bytes"))
        second = await objects.register_asset("k", {"title": "é"})
        assert second.metadata == {"title": "é"}
        assert second.etag != first.etag
        assert await objects.get_object("k") == b"bytes"


async def test_a_restart_puts_right_what_a_crash_left(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    """Between the index and the rename, before the index, and between a deletion and its unlink."""
    if backend == "memory":
        pytest.skip("memory does not survive, and says so")
    folder = tmp_path / SCOPE / "blobs"
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        await objects.put_object("k", b"old")
        stored = await objects.put_stream("k", pieces(b"newer"))
        await objects.put_object("gone", b"secret")
        await objects.delete_object("gone")
    (folder / "k").rename(folder / f"{stored.blob}.new")
    (folder / "k").write_bytes(b"old")
    (folder / "0123.new").write_bytes(b"never indexed")
    (folder / "gone").write_bytes(b"secret")
    (folder / "somebody's").write_bytes(b"not ours")
    async with opener() as spine:
        assert await spine.objects(CONTEXT).get_object("k") == b"newer"
        assert (folder / "k").read_bytes() == b"newer"
        assert sorted(path.name for path in folder.iterdir()) == ["k", "somebody's"]


async def test_damaged_bytes_are_never_served_as_whole(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    if backend == "memory":
        pytest.skip("memory has no files")
    async with opener() as spine:
        await spine.objects(CONTEXT).put_object("k", b"right")
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        file = tmp_path / SCOPE / "blobs" / "k"
        for wrong in (b"wrong", b"rig", b""):
            file.write_bytes(wrong)
            with pytest.raises(StoreCorrupt):
                await objects.get_object("k")
        file.unlink()
        with pytest.raises(StoreCorrupt):
            await objects.get_object("k")
        await objects.put_object("k", b"again")
        assert await objects.get_object("k") == b"again"


async def test_a_signed_address_is_for_what_was_signed(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener() as spine:
        objects = spine.objects(CONTEXT)
        made = await objects.presign_upload("k", "image/png", 10, 60)
        grant = await spine.upload_grant(made.token)
        assert (grant.key, grant.content_type, grant.size_max) == ("k", "image/png", 10)
        assert grant.context(None).scope == CONTEXT.scope
        with pytest.raises(UploadRefused, match="Content-Type"):
            grant.check("PUT", "text/html")
        with pytest.raises(UploadRefused, match="PUT"):
            grant.check("GET", "image/png")
        secret = await spine.signing_key()
        with pytest.raises(UploadRefused, match="expired"):
            grant_of(made.token, secret, grant.expires_at)
        with pytest.raises(UploadRefused):
            grant_of(token_of(grant, b"another"), secret, 0)
        for at in range(len(made.token)):
            changed = "A" if made.token[at] != "A" else "B"
            with pytest.raises(UploadRefused):
                grant_of(made.token[:at] + changed + made.token[at + 1 :], secret, 0)
        for wrong in ("", ".", "a", "é.é", made.token + "=", made.token + "."):
            with pytest.raises(UploadRefused):
                grant_of(wrong, secret, 0)
        for size_max, expires_s in ((-1, 60), (1 << 60, 60), (1, 0), (1, 1e9)):
            with pytest.raises(InvalidRequest):
                await objects.presign_upload("k", "image/png", size_max, expires_s)
    key = tmp_path / "signing.key"
    assert (key.stat().st_mode & 0o777, len(key.read_bytes())) == (0o600, 32)
    if backend != "memory":
        async with opener() as spine:
            assert (await spine.upload_grant(made.token)).key == "k", "it holds over a restart"
