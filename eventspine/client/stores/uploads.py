"""Objects in parts, to a server: the operations of ObjectUploads, and `put` over all of them.

    stored = await client.objects.uploads.put("film", pieces, content_type="video/mp4")

Rules: a part and the completion may be sent again; to begin an upload again makes a second one, so
that is not repeated once it may have run. `put` then asks what is open, as it does when it goes on
with an upload that was cut off: parts that are there with the right SHA-256 are not sent again.
What is remembered of an upload is the server's alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from typing import Any

import msgspec

from eventspine.client.errors import ServerUnreachable
from eventspine.client.stores.asking import JSON, AskStore, address, decoded, encoded
from eventspine.client.stores.object_answers import OCTETS, ObjectAnswer, conditional
from eventspine.client.stores.upload_answers import (
    PartAnswer,
    PartsAnswer,
    UploadAnswer,
    UploadsAnswer,
)
from eventspine.contracts.errors import InvalidRequest, OutcomeUnknown, UploadNotFound
from eventspine.contracts.object_uploads import Part, PartPage, Upload, UploadPage
from eventspine.contracts.objects import ALWAYS, Condition, StoredObject

PART_BYTES = 16 * 1024 * 1024


class ClientUploads:
    """Made by `client.objects.uploads`. A part is answered without its inner name."""

    def __init__(self, ask: AskStore) -> None:
        self._ask = ask

    async def put(
        self,
        key: str,
        content: bytes | Iterable[bytes] | AsyncIterable[bytes],
        *,
        content_type: str = OCTETS,
        part_bytes: int = PART_BYTES,
        condition: Condition = ALWAYS,
        metadata: Any = None,
    ) -> StoredObject:
        """Store an object of any size, in parts; whoever calls it again after an error goes on.

        The upload of this key, type and metadata that was active last is gone on with, if one is
        open. A part is in memory at a time, and nobody sees the object before it is complete.

        Args:
            content: bytes, or pieces of any size; the same, in the same order, when called again.
            part_bytes: the size of the parts; the same when called again, or all are sent anew.

        Raises:
            PreconditionFailed: `condition` does not hold; the upload stays open.
            InvalidParts: more than 10,000 parts. TooLarge: more than an object may have.
        """
        if part_bytes < 1:
            raise InvalidRequest("part_bytes must be at least 1", parameter="part_bytes")
        upload = await self._begun(key, content_type, metadata)
        there = {one.number: one.sha256 for one in await self._all_parts(upload)}
        whole, listed, number = hashlib.sha256(), [], 0
        async with aclosing(_parts(content, part_bytes)) as parts:
            async for part in parts:
                number += 1
                whole.update(part)
                sha256 = hashlib.sha256(part).hexdigest()
                if there.get(number) != sha256:
                    await self.put_part(key, upload.upload_id, number, part)
                listed.append((number, sha256))
        return await self.complete(
            key, upload.upload_id, listed, condition=condition, sha256=whole.hexdigest()
        )

    async def create(self, key: str, *, content_type: str = OCTETS, metadata: Any = None) -> Upload:
        """Begin an upload: of what type the object will be, and what it will say of itself.

        Raises:
            TooManyUploads: so many are open.
            ServerUnreachable, OutcomeUnknown: one may have been begun; `page` tells.
        """
        response = await self._ask(
            "POST",
            address("objects", key, "uploads"),
            content=encoded({"content_type": content_type, "metadata": metadata}),
            headers=[JSON],
            is_repeatable=False,
        )
        return decoded(response, UploadAnswer).upload

    async def put_part(self, key: str, upload_id: str, number: int, content: bytes) -> Part:
        """Store a part, in place of the one of this number. Raises UploadNotFound, InvalidParts."""
        response = await self._ask(
            "PUT",
            _address(key, upload_id, "parts", str(number)),
            content=content,
            headers=[
                (b"Content-Type", OCTETS.encode()),
                (b"X-Object-Sha256", hashlib.sha256(content).hexdigest().encode()),
            ],
        )
        return decoded(response, PartAnswer).part

    async def parts(
        self, key: str, upload_id: str, *, after: int = 0, limit: int | None = None
    ) -> PartPage:
        """The parts that are there, in order of number. Raises UploadNotFound."""
        params = {"after": after, "limit": limit}
        found = await self._ask("GET", _address(key, upload_id), params=params)
        page = decoded(found, PartsAnswer)
        return PartPage(page.upload.upload, [one.part for one in page.parts], page.next)

    async def complete(
        self,
        key: str,
        upload_id: str,
        parts: Iterable[tuple[int, str]],
        *,
        condition: Condition = ALWAYS,
        sha256: str | None = None,
    ) -> StoredObject:
        """Join parts to the object. To complete again what is the object already answers it.

        Args:
            parts: number and SHA-256 of each, in order of number.
            sha256: what the whole must add up to.

        Raises:
            UploadNotFound, InvalidParts, PreconditionFailed, ChecksumMismatch, TooLarge.
        """
        body: dict[str, object] = {
            "parts": [{"number": number, "sha256": digest} for number, digest in parts]
        }
        if sha256 is not None:
            body["sha256"] = sha256
        response = await self._ask(
            "POST",
            _address(key, upload_id, "complete"),
            content=encoded(body),
            headers=[JSON, *conditional(condition)],
        )
        return decoded(response, ObjectAnswer).stored

    async def abort(self, key: str, upload_id: str) -> bool:
        """End an upload and delete its parts. Answers whether it was open, as far as the last try
        can tell."""
        try:
            await self._ask("DELETE", _address(key, upload_id))
        except UploadNotFound:
            return False
        return True

    async def page(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> UploadPage:
        """A page of open uploads in order of key; `next` is the `after` of the page behind it."""
        params = {"prefix": prefix, "after": after, "limit": limit}
        page = decoded(await self._ask("GET", address("uploads"), params=params), UploadsAnswer)
        return UploadPage([one.upload for one in page.uploads], page.next)

    # --- going on ---

    async def _begun(self, key: str, content_type: str, metadata: Any) -> Upload:
        """The open upload that is meant, or a new one."""
        meant = (key, content_type, msgspec.json.decode(encoded(metadata)))
        found = await self._open(meant)
        if found is not None:
            return found
        try:
            return await self.create(key, content_type=content_type, metadata=metadata)
        except (ServerUnreachable, OutcomeUnknown):
            found = await self._open(meant)
            if found is None:
                raise
            return found

    async def _open(self, meant: tuple[str, str, Any]) -> Upload | None:
        found: list[Upload] = []
        after: str | None = None
        while True:
            page = await self.page(meant[0], after=after)
            found += [
                one for one in page.uploads if (one.key, one.content_type, one.metadata) == meant
            ]
            after = page.next
            if after is None:
                return max(found, key=lambda one: one.active_at, default=None)

    async def _all_parts(self, upload: Upload) -> list[Part]:
        found: list[Part] = []
        after: int | None = 0 if upload.parts else None
        while after is not None:
            page = await self.parts(upload.key, upload.upload_id, after=after)
            found += page.parts
            after = page.next
        return found


def _address(key: str, upload_id: str, *more: str) -> str:
    return address("objects", key, "uploads", upload_id, *more)


async def _parts(
    content: bytes | Iterable[bytes] | AsyncIterable[bytes], size: int
) -> AsyncGenerator[bytes, None]:
    """The same bytes in parts of `size`, the last one shorter; one empty part of nothing."""
    waiting = bytearray()
    is_empty = True
    async with aclosing(_pieces(content)) as pieces:
        async for piece in pieces:
            waiting += piece
            while len(waiting) >= size:
                yield bytes(waiting[:size])
                is_empty = False
                del waiting[:size]
    if waiting or is_empty:
        yield bytes(waiting)


async def _pieces(
    content: bytes | Iterable[bytes] | AsyncIterable[bytes],
) -> AsyncGenerator[bytes, None]:
    if isinstance(content, AsyncIterable):
        async for piece in content:
            yield piece
        return
    for piece in [content] if isinstance(content, bytes) else content:
        yield piece
