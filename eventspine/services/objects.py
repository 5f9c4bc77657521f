"""ObjectStoreService: bytes of any size by key. Source: FN-03 … FN-08, CLS-13, CLS-14, KIND-09.

    objects = spine.objects(context)
    await objects.put_object("reports/1.pdf", content)       # "eventspine://object_store/…"
    await objects.get_object("reports/1.pdf")                # the bytes, checked
    await objects.list_objects("reports/")                   # ["reports/1.pdf"]
    await objects.delete_object("reports/1.pdf")             # True
    objects.uploads                                          # objects that come in parts

An answered put is on disk, bytes and index. Who reads sees one content or the other, never a mix.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from eventspine.actors.states.objects import Objects
from eventspine.contracts.blobs import BytesReader
from eventspine.contracts.errors import InvalidRequest, RangeNotSatisfiable
from eventspine.contracts.ids import checked_id
from eventspine.contracts.journal import Decision
from eventspine.contracts.objects import (
    ALWAYS,
    Condition,
    Content,
    ObjectPage,
    StoredObject,
    blob_name,
)
from eventspine.services.audit_mutations import mutation
from eventspine.services.object_bytes import (
    BYTES_LIMIT,
    OpenObject,
    SizeLimit,
)
from eventspine.services.object_incoming import OneContent, received
from eventspine.services.object_presign import (
    OCTETS,
    PresignedUpload,
    Wanted,
    check,
    checked_type,
    presigned,
)
from eventspine.services.object_scope import ObjectScope
from eventspine.services.object_shelf import Shelf
from eventspine.services.object_uploads import ObjectUploads
from eventspine.services.object_writing import Writing
from eventspine.services.tabular import encoded


class ObjectStoreService:
    """The objects of one scope. Made by `Spine.objects(context)`."""

    def __init__(self, scope: ObjectScope) -> None:
        self._scope = scope
        self._context = scope.context
        self._journals = scope.journals
        self._limits = scope.limits
        self._index = scope.index

    @property
    def uploads(self) -> ObjectUploads:
        """The multipart uploads of the same scope."""
        return ObjectUploads(self._scope)

    # --- write ---

    async def put_object(
        self,
        key: str,
        content: bytes,
        *,
        content_type: str = OCTETS,
        condition: Condition = ALWAYS,
    ) -> str:
        """Store bytes under a key, whatever was there; answers the object's uri."""
        await self.put_stream(
            key, OneContent(content), content_type=content_type, condition=condition
        )
        return self.uri(key)

    @mutation("object_store", "object.put", "key", "content_type")
    async def put_stream(
        self,
        key: str,
        pieces: AsyncIterable[bytes],
        *,
        content_type: str = OCTETS,
        condition: Condition = ALWAYS,
        sha256: str | None = None,
        metadata: Any = None,
        size_max: int | None = None,
    ) -> StoredObject:
        """Store bytes as they come; nobody sees any of them before all are durable.

        Args:
            pieces: an error it raises is raised from here, and nothing is stored.
            sha256: what the bytes must add up to, in hexadecimal digits.
            metadata: anything that is JSON.
            size_max: a limit of its own below `object_bytes_max`.

        Raises:
            PreconditionFailed: `condition` does not hold; also if it held when the bytes began.
            ChecksumMismatch, TooLarge, InvalidRequest: nothing was stored.
            StoreFull, StoreUnavailable: nothing was stored. OutcomeUnknown: it is or is not.
        """
        checked_id(key, "key")
        checked_type(content_type)
        metadata_json = encoded(metadata)
        limit = SizeLimit(BYTES_LIMIT, self._limits.object_bytes_max).lowered(size_max)
        shelf = await self._scope.shelf()

        async def if_large() -> None:
            await self._index.ask(lambda objects: Decision((), objects.check(key, condition)))

        async with received(shelf, pieces, limit, sha256, if_large) as writing:
            content = Content(
                writing.size, writing.sha256, content_type, writing.blob, metadata_json
            )
            with anyio.CancelScope(shield=True), shelf.in_use(key):
                stored = await self._commit(shelf, writing, key, content, condition)
        return stored

    async def _commit(
        self, shelf: Shelf, writing: Writing, key: str, content: Content, condition: Condition
    ) -> StoredObject:
        writing.committing, now = True, self._journals.now()
        stored = await self._index.ask(
            lambda objects: objects.put(key, content, condition, now), writing.commit
        )
        await shelf.settle(shelf.publish(key, writing.blob, stored.version))
        return stored

    @mutation("object_store", "object.register_asset", "key")
    async def register_asset(self, key: str, metadata: Any) -> StoredObject:
        """Say what an object that was uploaded is. Its etag changes, its bytes do not.

        Raises:
            ObjectNotFound: nothing was uploaded under this key.
        """
        checked_id(key, "key")
        metadata_json, now = encoded(metadata), self._journals.now()
        await self._scope.shelf()
        return await self._index.ask(lambda objects: objects.describe(key, metadata_json, now))

    @mutation("object_store", "object.delete", "key")
    async def delete_object(self, key: str, *, condition: Condition = ALWAYS) -> bool:
        """Delete an object and its bytes. Answers whether there was one."""
        checked_id(key, "key")
        shelf, now = await self._scope.shelf(), self._journals.now()

        def decide(objects: Objects) -> Decision[int]:
            decision = objects.delete(key, condition, now)
            return Decision(decision.records, objects.version + 1 if decision.answer else 0)

        with anyio.CancelScope(shield=True), shelf.in_use(key):
            version = await self._index.ask(decide)
            if version:
                await shelf.settle(shelf.remove(self._index, key, version))
        return version > 0

    # --- read ---

    async def get_object(self, key: str) -> bytes:
        """All bytes of an object, checked. Raises ObjectNotFound, StoreCorrupt."""
        checked_id(key, "key")
        shelf = await self._scope.shelf()
        at_hand = await shelf.at_hand(self._index, key)
        if at_hand is not None:
            return at_hand[1]
        async with shelf.opened(self._index, key) as (stored, reader):
            found = OpenObject(stored, reader, 0, stored.size, shelf)
            return b"".join([piece async for piece in found.pieces()])

    @asynccontextmanager
    async def open_range(
        self, key: str, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[OpenObject]:
        """Bytes from `start` up to `stop` (None: the end), while the block lasts.

        Args:
            start: negative: so many bytes from the end. stop: lowered to the object's size.

        Raises:
            ObjectNotFound, StoreCorrupt.
            RangeNotSatisfiable: the object has no byte there.
        """
        checked_id(key, "key")
        shelf = await self._scope.shelf()
        at_hand = await shelf.at_hand(self._index, key)
        if at_hand is not None:
            stored, data = at_hand
            first, last = _range(stored.size, start, stop)
            yield OpenObject(stored, BytesReader(data), first, last, shelf, checked=True)
            return
        async with shelf.opened(self._index, key) as (stored, reader):
            first, last = _range(stored.size, start, stop)
            yield OpenObject(stored, reader, first, last, shelf)

    async def head(self, key: str) -> StoredObject | None:
        """What is known of an object without its bytes, or None."""
        return await self._index.head(checked_id(key, "key"))

    async def list_objects(self, prefix: str = "") -> list[str]:
        """All keys that begin with `prefix`, in order."""
        keys: list[str] = []
        after: str | None = None
        while True:
            page = await self.page(prefix, after=after)
            keys += [one.key for one in page.objects]
            after = page.next
            if after is None:
                return keys

    async def page(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> ObjectPage:
        """A page of objects in key order; `next` is the `after` of the page behind it."""
        most = self._limits.object_list_max
        wanted = most if limit is None else min(limit, most)
        if wanted < 1:
            raise InvalidRequest("limit must be at least 1", parameter="limit")
        return await self._index.ask(
            lambda objects: Decision((), objects.page(prefix, after, wanted))
        )

    def uri(self, key: str) -> str:
        """Where the object is: the same for the same scope and key, and for no other."""
        return f"eventspine://object_store/{self._context.scope.path}/blobs/{blob_name(key)}"

    # --- uploads by others ---

    @mutation(
        "object_store", "object.presign_upload", "key", "content_type", "size_max", "expires_s"
    )
    async def presign_upload(
        self,
        key: str,
        content_type: str = OCTETS,
        size_max: int | None = None,
        expires_s: float = 900.0,
    ) -> PresignedUpload:
        """An address where anybody may put this object for a while, without other credentials.

        Args:
            content_type: what the upload has to state, exactly.
            size_max: bytes; None: as much as an object may have.
            expires_s: up to a week. It can be used more than once until then.
        """
        checked_id(key, "key")
        maximum = self._limits.object_bytes_max
        wanted = Wanted(key, content_type, size_max, expires_s)
        check(wanted, maximum)
        await self._scope.shelf()  # an address that leads nowhere is not made
        now_s = self._journals.now_s()
        return await presigned(wanted, self._context, maximum, now_s, self._scope.signing_key)


def _range(size: int, start: int, stop: int | None) -> tuple[int, int]:
    """The first byte and the one behind the last. Raises RangeNotSatisfiable."""
    first = max(0, size + start) if start < 0 else start
    last = size if stop is None else min(stop, size)
    if first >= last and (first, last) != (0, size):
        raise RangeNotSatisfiable(f"the object has {size} bytes", size=size)
    return first, last
