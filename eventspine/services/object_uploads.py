"""ObjectUploads: objects that come in parts, of one scope. Source: FN-03, KIND-09.

    uploads = spine.objects(context).uploads
    upload = await uploads.create("film", content_type="video/mp4")
    part = await uploads.put_part("film", upload.upload_id, 1, pieces)
    await uploads.complete("film", upload.upload_id, [(1, part.sha256)])      # the object

An answered part is on disk, bytes and index. Nobody sees an object before it is complete. What
nothing comes to for `upload_idle_s_max` is given up (upload_expiry.py).
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, TypeVar

import anyio
import msgspec

from eventspine.actors.states.object_uploads import UploadRecord, Uploads, checked_number
from eventspine.contracts.errors import InvalidRequest, UploadNotFound
from eventspine.contracts.ids import checked_id
from eventspine.contracts.journal import Decision
from eventspine.contracts.object_uploads import (
    ListedPart,
    Part,
    PartPage,
    Upload,
    UploadPage,
    UploadRoom,
)
from eventspine.contracts.objects import ALWAYS, Condition, StoredObject
from eventspine.contracts.stores import StreamCommit
from eventspine.services.audit_mutations import mutation
from eventspine.services.object_bytes import BYTES_LIMIT, SizeLimit
from eventspine.services.object_completion import Completing, Completion
from eventspine.services.object_incoming import received
from eventspine.services.object_presign import (
    OCTETS,
    PresignedUpload,
    Wanted,
    check,
    checked_type,
    presigned,
)
from eventspine.services.object_scope import ObjectScope
from eventspine.services.tabular import encoded

A = TypeVar("A")


class ObjectUploads:
    """The multipart uploads of one scope: `spine.objects(context).uploads`."""

    def __init__(self, scope: ObjectScope) -> None:
        self._scope = scope
        self._context = scope.context
        self._journals = scope.journals
        self._index = scope.index
        limits = scope.limits
        self._room = UploadRoom(limits.object_uploads_max, limits.object_bytes_max)
        self._completion = Completion(self._index, scope.journals, limits.object_bytes_max)

    @mutation("object_store", "object.begin_upload", "key", "content_type")
    async def create(self, key: str, *, content_type: str = OCTETS, metadata: Any = None) -> Upload:
        """Begin an upload. Several may be open for one key.

        Raises:
            TooManyUploads: the scope has `object_uploads_max` of them.
        """
        checked_id(key, "key")
        checked_type(content_type)
        begun = UploadRecord(
            secrets.token_hex(16), key, content_type, metadata=msgspec.Raw(encoded(metadata))
        )
        await self._scope.shelf()
        now = self._journals.now()
        return await self._ask(lambda uploads: uploads.begin(begun, self._room, now), now)

    @mutation("object_store", "object.put_part", "key", "upload_id", "number")
    async def put_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        pieces: AsyncIterable[bytes],
        *,
        sha256: str | None = None,
        size_max: int | None = None,
    ) -> Part:
        """Store one part, in place of the one of this number; nobody sees it before it is durable.

        Args:
            number: 1 to 10,000. Parts are joined in order of number, and come in any order.
            sha256: what the bytes must add up to, in hexadecimal digits.

        Raises:
            UploadNotFound; also if it ended while the bytes came.
            InvalidParts, ChecksumMismatch, TooLarge: nothing was stored. So too what putting an
                object raises.
        """
        checked_id(key, "key")
        checked_number(number)
        shelf = await self._scope.shelf()
        limit = SizeLimit(BYTES_LIMIT, self._room.bytes_max).lowered(size_max)
        with shelf.busy_with(upload_id):
            await self._find(key, upload_id)
            async with received(shelf, pieces, limit, sha256, _nothing) as writing:
                now = self._journals.now()
                part = Part(number, writing.size, writing.sha256, now, writing.blob)
                with anyio.CancelScope(shield=True):
                    writing.committing = True
                    before = await self._ask(
                        lambda uploads: uploads.put_part(key, upload_id, part, self._room),
                        now,
                        writing.commit,
                    )
                    if before is not None:
                        await shelf.settle(shelf.drop([before.blob]))
        return part

    @mutation("object_store", "object.complete_upload", "key", "upload_id", "parts")
    async def complete(
        self,
        key: str,
        upload_id: str,
        parts: Iterable[tuple[int, str]],
        *,
        condition: Condition = ALWAYS,
        sha256: str | None = None,
    ) -> StoredObject:
        """Join parts to the object; it is there whole or not at all, and the upload has ended.

        To complete again what is the object already answers it as it is.

        Args:
            parts: number and SHA-256 of each, in order of number; what is not named is dropped.
            sha256: what the whole must add up to.

        Raises:
            UploadNotFound; InvalidParts: the upload is as it was, and so is the object.
            PreconditionFailed, ChecksumMismatch, TooLarge: likewise.
            StoreCorrupt: a part's bytes are not what was stored; put it again.
        """
        checked_id(key, "key")
        listed = [ListedPart(checked_number(number), digest) for number, digest in parts]
        wanted = Completing(key, upload_id, listed, condition, sha256)
        shelf = await self._scope.shelf()
        with shelf.busy_with(upload_id):
            try:
                return await self._completion.run(shelf, wanted)
            except UploadNotFound:
                done = await self._index.head(key)
                if done is None or done.upload != upload_id:
                    raise
                return done

    @mutation("object_store", "object.abort_upload", "key", "upload_id")
    async def abort(self, key: str, upload_id: str) -> None:
        """End an upload and delete its parts. Raises UploadNotFound."""
        checked_id(key, "key")
        shelf, now = await self._scope.shelf(), self._journals.now()
        with anyio.CancelScope(shield=True):
            blobs = await self._ask(lambda uploads: uploads.abort(key, upload_id), now)
            await shelf.settle(shelf.drop(blobs))

    async def parts(
        self, key: str, upload_id: str, *, after: int = 0, limit: int | None = None
    ) -> PartPage:
        """The upload and a page of its parts in order of number. Raises UploadNotFound."""
        checked_id(key, "key")
        wanted = self._limit(limit)
        return await self._index.ask(
            lambda objects: Decision((), objects.uploads.parts(key, upload_id, after, wanted))
        )

    async def page(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> UploadPage:
        """A page of the open uploads in order of key and id."""
        wanted = self._limit(limit)
        return await self._index.ask(
            lambda objects: Decision((), objects.uploads.page(prefix, after, wanted))
        )

    @mutation("object_store", "object.presign_part", "key", "upload_id", "number", "expires_s")
    async def presign_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        content_type: str = OCTETS,
        size_max: int | None = None,
        expires_s: float = 900.0,
    ) -> PresignedUpload:
        """An address where anybody may put this part for a while, without other credentials.

        Raises:
            UploadNotFound, InvalidParts; InvalidRequest as for an object.
        """
        checked_id(key, "key")
        number, maximum = checked_number(number), self._room.bytes_max
        wanted = Wanted(key, content_type, size_max, expires_s, upload_id, number)
        check(wanted, maximum)
        await self._find(key, upload_id)
        now_s = self._journals.now_s()
        return await presigned(wanted, self._context, maximum, now_s, self._scope.signing_key)

    # --- how ---

    async def _find(self, key: str, upload_id: str) -> Upload:
        return await self._index.ask(
            lambda objects: Decision((), objects.uploads.find(key, upload_id))
        )

    async def _ask(
        self,
        decide: Callable[[Uploads], Decision[A]],
        now: str,
        blob: StreamCommit | None = None,
    ) -> A:
        return await self._index.ask(
            lambda objects: objects.of_uploads(decide(objects.uploads), now), blob
        )

    def _limit(self, limit: int | None) -> int:
        most = self._scope.limits.object_list_max
        wanted = most if limit is None else min(limit, most)
        if wanted < 1:
            raise InvalidRequest("limit must be at least 1", parameter="limit")
        return wanted


async def _nothing() -> None:
    return None
