"""ObjectStoreService: bytes of any size by key. Source: FN-03 … FN-08, CLS-13, CLS-14, KIND-09.

    objects = spine.objects(context)
    await objects.put_object("reports/1.pdf", content)       # "eventspine://object_store/…"
    await objects.get_object("reports/1.pdf")                # the bytes, checked
    await objects.list_objects("reports/")                   # ["reports/1.pdf"]
    await objects.delete_object("reports/1.pdf")             # True

An answered put is on disk, bytes and index. Who reads sees one content or the other, never a mix.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import anyio.to_thread

from eventspine.contracts.blobs import BlobReader
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import (
    ChecksumMismatch,
    InvalidRequest,
    RangeNotSatisfiable,
    TooLarge,
)
from eventspine.contracts.ids import checked_id
from eventspine.contracts.journal import Decision
from eventspine.contracts.limits import Limits
from eventspine.contracts.objects import (
    ALWAYS,
    Condition,
    Content,
    ObjectPage,
    StoredObject,
    blob_name,
)
from eventspine.services.journals import Journals
from eventspine.services.object_shelf import Index, Shelf, Shelves, Writing
from eventspine.services.tabular import encoded
from eventspine.services.upload_grants import (
    EXPIRES_S_MAX,
    SigningKey,
    UploadGrant,
    token_of,
)

PIECE_BYTES = 1024 * 1024
HASH_HERE_BYTES = 64 * 1024  # what the loop hashes itself; more goes to a thread
OCTETS = "application/octet-stream"
TYPE = "[!-~]{1,100}/[!-~]([ -~]{0,100}[!-~])?"
_TYPE = re.compile(TYPE, re.ASCII)


class PresignedUpload(NamedTuple):
    """Where one object can be put until `expires_at` (seconds since 1970), and with what."""

    path: str
    token: str
    content_type: str
    size_max: int
    expires_at: int


class OpenObject:
    """Bytes `start` to `stop` of an object that is open."""

    def __init__(
        self, stored: StoredObject, reader: BlobReader, start: int, stop: int, shelf: Shelf
    ) -> None:
        self.stored, self.start, self.stop = stored, start, stop
        self._reader, self._shelf = reader, shelf

    @property
    def size(self) -> int:
        return self.stop - self.start

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The bytes in order. A whole object's last piece comes only if its SHA-256 is right.

        Raises:
            StoreCorrupt: the bytes are not what was stored.
        """
        whole = self.size == self.stored.size
        digest, at = hashlib.sha256(), self.start
        while at < self.stop:
            piece = await self._reader.read(min(PIECE_BYTES, self.stop - at), at)
            if not piece:
                raise self._shelf.corrupt(self.stored.key, f"it ends at byte {at}")
            at += len(piece)
            if whole:
                await _hash(digest, piece)
                if at == self.stop and digest.hexdigest() != self.stored.sha256:
                    raise self._shelf.corrupt(self.stored.key, "SHA-256 is not what was stored")
            yield piece


class ObjectStoreService:
    """The objects of one scope. Made by `Spine.objects(context)`."""

    def __init__(
        self,
        context: RequestContext,
        journals: Journals,
        shelves: Shelves,
        limits: Limits,
        signing_key: SigningKey,
    ) -> None:
        self._context = context
        self._journals = journals
        self._shelves = shelves
        self._limits = limits
        self._signing_key = signing_key
        self._index = Index(journals, context)

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
        view = memoryview(content)

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(view), PIECE_BYTES):
                yield bytes(view[start : start + PIECE_BYTES])

        await self.put_stream(key, pieces(), content_type=content_type, condition=condition)
        return self.uri(key)

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
        shelf = await self._shelves.of(self._context)
        await self._index.ask(lambda objects: Decision((), objects.check(key, condition)))
        async with shelf.drafted() as writing:
            async with _closing(pieces):
                await self._receive(writing, pieces, size_max)
            draft = writing.draft
            if sha256 is not None and sha256.lower() != draft.sha256:
                raise ChecksumMismatch(
                    f"SHA-256 of the bytes is {draft.sha256}",
                    expected=sha256.lower(),
                    actual=draft.sha256,
                )
            await draft.finish()
            content = Content(draft.size, draft.sha256, content_type, writing.blob, metadata_json)
            with anyio.CancelScope(shield=True):
                stored = await self._commit(shelf, writing, key, content, condition)
        return stored

    async def _receive(
        self, writing: Writing, pieces: AsyncIterable[bytes], size_max: int | None
    ) -> None:
        """Small pieces are collected, so that a thread is not asked for each of them."""
        limit, maximum = "object_bytes_max", self._limits.object_bytes_max
        if size_max is not None and size_max < maximum:
            limit, maximum = "size_max", size_max
        size, collected = 0, bytearray()
        async for piece in pieces:
            size += len(piece)
            if size > maximum:
                raise TooLarge(
                    f"the object has {size} bytes or more, the limit is {maximum}",
                    limit=limit,
                    maximum=maximum,
                    actual=size,
                )
            collected += piece
            if len(collected) >= PIECE_BYTES:
                await writing.draft.write(bytes(collected))
                collected.clear()
        if collected:
            await writing.draft.write(bytes(collected))

    async def _commit(
        self, shelf: Shelf, writing: Writing, key: str, content: Content, condition: Condition
    ) -> StoredObject:
        writing.committing, now = True, self._journals.now()
        stored = await self._index.ask(lambda objects: objects.put(key, content, condition, now))
        await shelf.settle(shelf.publish(self._index, key, writing.blob))
        return stored

    async def register_asset(self, key: str, metadata: Any) -> StoredObject:
        """Say what an object that was uploaded is. Its etag changes, its bytes do not.

        Raises:
            ObjectNotFound: nothing was uploaded under this key.
        """
        checked_id(key, "key")
        metadata_json, now = encoded(metadata), self._journals.now()
        await self._shelves.of(self._context)
        return await self._index.ask(lambda objects: objects.describe(key, metadata_json, now))

    async def delete_object(self, key: str, *, condition: Condition = ALWAYS) -> bool:
        """Delete an object and its bytes. Answers whether there was one."""
        checked_id(key, "key")
        shelf, now = await self._shelves.of(self._context), self._journals.now()
        with anyio.CancelScope(shield=True):
            there = await self._index.ask(lambda objects: objects.delete(key, condition, now))
            if there:
                await shelf.settle(shelf.remove(self._index, key))
        return there

    # --- read ---

    async def get_object(self, key: str) -> bytes:
        """All bytes of an object, checked. Raises ObjectNotFound, StoreCorrupt."""
        async with self.open_range(key) as found:
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
        shelf = await self._shelves.of(self._context)
        async with shelf.opened(self._index, key) as (stored, reader):
            size = stored.size
            first = max(0, size + start) if start < 0 else start
            last = size if stop is None else min(stop, size)
            if first >= last and (first, last) != (0, size):
                raise RangeNotSatisfiable(f"the object has {size} bytes", size=size)
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
        checked_type(content_type)
        maximum = self._limits.object_bytes_max
        size_max = maximum if size_max is None else size_max
        if not 0 <= size_max <= maximum:
            raise InvalidRequest(f"size_max must be from 0 to {maximum}", parameter="size_max")
        if not 0 < expires_s <= EXPIRES_S_MAX:
            raise InvalidRequest(
                f"expires_s must be above 0 and at most {EXPIRES_S_MAX}", parameter="expires_s"
            )
        await self._shelves.of(self._context)  # an address that leads nowhere is not made
        expires_at = int(self._journals.now_s() + expires_s)
        grant = UploadGrant(
            *self._context.scope,
            key,
            content_type,
            size_max,
            expires_at,
            user_id=self._context.user_id,
        )
        token = token_of(grant, await self._signing_key())
        return PresignedUpload(f"/v1/uploads/{token}", token, content_type, size_max, expires_at)


@asynccontextmanager
async def _closing(pieces: AsyncIterable[bytes]) -> AsyncIterator[None]:
    """A generator that is not read to its end is ended here, and not by the garbage collector."""
    try:
        yield
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            with anyio.CancelScope(shield=True):
                await close()


def checked_type(content_type: str) -> str:
    """A media type that can be sent in a header. Raises InvalidRequest."""
    if not _TYPE.fullmatch(content_type):
        raise InvalidRequest("content_type must be as type/subtype", parameter="content_type")
    return content_type


async def _hash(digest: Any, piece: bytes) -> None:
    if len(piece) <= HASH_HERE_BYTES:
        digest.update(piece)
    else:
        await anyio.to_thread.run_sync(digest.update, piece)


class RawStorageService(ObjectStoreService):
    """The old name of ObjectStoreService. Deprecated: use `spine.objects(context)`."""

    def __init__(self, *args: Any, **named: Any) -> None:
        warnings.warn(
            "RawStorageService is ObjectStoreService now", DeprecationWarning, stacklevel=2
        )
        super().__init__(*args, **named)
