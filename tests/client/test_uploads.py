"""Objects in parts to a real server through the client: begun, cut off, gone on with."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio.to_thread
import httpx
import pytest

from eventspine.client import EventspineClient, RetryPolicy, ServerUnreachable
from eventspine.contracts.errors import (
    ChecksumMismatch,
    InvalidParts,
    InvalidRequest,
    PreconditionFailed,
    UploadNotFound,
)
from eventspine.contracts.objects import Condition
from tests.client.cutting import Cutting
from tests.client.serving import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
RETRY = RetryPolicy(patience_s=20, first_s=0.02, longest_s=0.2)


@pytest.fixture
def name() -> str:
    return f"n/{uuid.uuid4()}"


class Gone(Exception):
    """The source of an upload ends too early."""


def source(content: bytes, until: int | None = None) -> Iterator[bytes]:
    for start in range(0, len(content), 7):
        if until is not None and start >= until:
            raise Gone
        yield content[start : start + 7]


async def drip(content: bytes) -> AsyncIterator[bytes]:
    for piece in source(content):
        yield piece


class Counting(httpx.AsyncHTTPTransport):
    """Really sends, and counts the parts on their way."""

    parts = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.parts += request.method == "PUT" and b"/parts/" in request.url.raw_path
        return await super().handle_async_request(request)


async def test_the_operations(server: ServerProcess, name: str) -> None:
    async with EventspineClient(server.url, retry=RETRY) as client:
        uploads = client.objects.uploads
        upload = await uploads.create(name, content_type="text/plain", metadata={"a": 1})
        assert (upload.key, upload.parts, upload.metadata) == (name, 0, {"a": 1})
        two = await uploads.put_part(name, upload.upload_id, 2, b"two")
        assert (two.number, two.size) == (2, 3)
        one = await uploads.put_part(name, upload.upload_id, 1, b"one")
        page = await uploads.parts(name, upload.upload_id, limit=1)
        assert (page.parts, page.next, page.upload.size) == ([one], 1, 6)
        assert (await uploads.parts(name, upload.upload_id, after=1)).parts == [two]
        assert [found.upload_id for found in (await uploads.page(name)).uploads] == [
            upload.upload_id
        ]
        listed = [(1, one.sha256), (2, two.sha256)]
        with pytest.raises(InvalidParts):
            await uploads.complete(name, upload.upload_id, [(1, two.sha256)])
        with pytest.raises(ChecksumMismatch):
            await uploads.complete(name, upload.upload_id, listed, sha256=one.sha256)
        stored = await uploads.complete(name, upload.upload_id, listed)
        assert (stored.size, stored.content_type, stored.metadata) == (6, "text/plain", {"a": 1})
        assert await uploads.complete(name, upload.upload_id, listed) == stored
        assert await client.objects.get_object(name) == b"onetwo"
        other = await uploads.create(name)
        assert await uploads.abort(name, other.upload_id)
        assert not await uploads.abort(name, other.upload_id)
        with pytest.raises(UploadNotFound):
            await uploads.put_part(name, other.upload_id, 1, b"")


async def test_what_was_cut_off_goes_on_and_sends_only_what_is_missing(
    server: ServerProcess, name: str
) -> None:
    content = bytes(range(256)) * 10
    transport = Counting()
    async with (
        httpx.AsyncClient(transport=transport) as http,
        EventspineClient(server.url, retry=RETRY, http=http) as client,
    ):
        uploads = client.objects.uploads
        with pytest.raises(Gone):
            await uploads.put(name, source(content, until=1500), part_bytes=500)
        assert transport.parts == 3
        stored = await uploads.put(name, drip(content), part_bytes=500)
        assert transport.parts == 6, "the parts that were there are not sent again"
        assert (stored.size, stored.sha256) == (2560, hashlib.sha256(content).hexdigest())
        assert await client.objects.get_object(name) == content
        assert (await uploads.page(name)).uploads == []

        with pytest.raises(Gone):
            await uploads.put(name, source(content, until=1500), part_bytes=500)
        changed = b"!" + content[1:]
        await uploads.put(name, changed, part_bytes=500)
        assert transport.parts == 13, "three, then the first of them again and what was missing"
        assert await client.objects.get_object(name) == changed
        with pytest.raises(PreconditionFailed):
            await uploads.put(name, content, condition=Condition(if_absent=True))
        assert len((await uploads.page(name)).uploads) == 1, "it stays open"
        empty = await uploads.put(name, [], content_type="text/plain", metadata={"of": "nothing"})
        assert (empty.size, empty.metadata) == (0, {"of": "nothing"})
        with pytest.raises(InvalidRequest):
            await uploads.put(name, b"1", part_bytes=0)


async def test_lost_answers_lose_nothing_and_leave_one_upload(
    server: ServerProcess, name: str
) -> None:
    transport = Cutting()
    async with (
        httpx.AsyncClient(transport=transport) as http,
        EventspineClient(server.url, retry=RETRY, http=http) as client,
    ):
        uploads = client.objects.uploads
        transport.losses = 1
        with pytest.raises(ServerUnreachable):
            await uploads.create(name)
        assert len((await uploads.page(name)).uploads) == 1

        async def losing() -> AsyncIterator[bytes]:
            for n in range(4):
                transport.losses = 1
                yield b"%d" % n * 10
            transport.losses = 1  # of the completion, too

        stored = await uploads.put(name, losing(), part_bytes=10)
        assert await client.objects.get_object(name) == b"".join(b"%d" % n * 10 for n in range(4))
        assert (stored.size, (await uploads.page(name)).uploads) == (40, [])


async def test_an_upload_goes_on_over_a_server_that_was_killed(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "var") as server:
        async with EventspineClient(server.url, retry=RETRY) as client:

            async def pieces() -> AsyncIterator[bytes]:
                yield b"a" * 100
                await anyio.to_thread.run_sync(server.kill)
                await anyio.to_thread.run_sync(server.start)
                yield b"b" * 50

            stored = await client.objects.uploads.put("film", pieces(), part_bytes=100)
            assert stored.size == 150
            assert await client.objects.get_object("film") == b"a" * 100 + b"b" * 50
