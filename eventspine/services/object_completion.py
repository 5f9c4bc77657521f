"""Completion: the parts of an upload become an object.

Rules: bytes are copied piece by piece into a draft, each part is checked against its SHA-256 and
the whole is hashed on the way; nothing is held in memory. Then one record names the object and
ends the upload: a crash before it leaves both as they were, and a draft that nobody knows. What
changed meanwhile (another part, another object, an abort) is seen when that record is decided.
Refused: an object that stays in parts. It saves the copy, but `blobs/{key}` is where people and
their tools look for the bytes (PATH-02).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import anyio

from eventspine.actors.states.objects import Objects
from eventspine.contracts.blobs import BlobDraft
from eventspine.contracts.errors import TooLarge
from eventspine.contracts.journal import Decision
from eventspine.contracts.object_uploads import ListedPart, Part, Upload
from eventspine.contracts.objects import Condition, Content, StoredObject
from eventspine.services.journals import Journals
from eventspine.services.object_bytes import BYTES_LIMIT, PIECE_BYTES
from eventspine.services.object_index import Index
from eventspine.services.object_shelf import Shelf
from eventspine.services.object_sums import add_to, check_sum


class Completing(NamedTuple):
    """What a request to complete says. `sha256`: of the whole."""

    key: str
    upload_id: str
    listed: list[ListedPart]
    condition: Condition
    sha256: str | None


class Completion:
    """The completions of one scope."""

    def __init__(self, index: Index, journals: Journals, bytes_max: int) -> None:
        self._index = index
        self._journals = journals
        self._bytes_max = bytes_max

    async def run(self, shelf: Shelf, wanted: Completing) -> StoredObject:
        """Raises what ObjectUploads.complete says."""
        upload, chosen = await self._chosen(wanted)
        async with shelf.drafted() as (writing, draft):
            for part in chosen:
                await self._copy(shelf, draft, upload, part)
            check_sum(wanted.sha256, draft.sha256)
            await draft.finish()
            content = Content(
                draft.size,
                draft.sha256,
                upload.content_type,
                writing.blob,
                upload.metadata_json,
                wanted.upload_id,
            )
            with anyio.CancelScope(shield=True), shelf.in_use(wanted.key):
                writing.committing = True
                stored, blobs = await self._commit(wanted, chosen, content)
                await shelf.settle(shelf.publish(wanted.key, writing.blob, stored.version))
                await shelf.settle(shelf.drop(blobs))
        return stored

    async def _chosen(self, wanted: Completing) -> tuple[Upload, list[Part]]:
        key, upload_id, listed, condition, _ = wanted

        def decide(objects: Objects) -> Decision[tuple[Upload, list[Part]]]:
            chosen = objects.uploads.chosen(key, upload_id, listed)
            objects.check(key, condition)
            return Decision((), (objects.uploads.find(key, upload_id), chosen))

        upload, chosen = await self._index.ask(decide)
        size, maximum = sum(part.size for part in chosen), self._bytes_max
        if size > maximum:  # the limit was higher when they came
            raise TooLarge(
                f"the object would have {size} bytes, the limit is {maximum}",
                limit=BYTES_LIMIT,
                maximum=maximum,
                actual=size,
            )
        return upload, chosen

    async def _copy(self, shelf: Shelf, draft: BlobDraft, upload: Upload, part: Part) -> None:
        """A part's bytes, behind what is in the draft already. Raises StoreCorrupt."""
        digest, at = hashlib.sha256(), 0
        async with shelf.opened_part(part.blob) as reader:
            if reader is None:
                await self._check_still(upload, part)
                raise shelf.corrupt(upload.key, f"the bytes of part {part.number} are missing")
            while piece := await reader.read(PIECE_BYTES, at):
                at += len(piece)
                await add_to(digest, piece)
                await draft.write(piece)
        if (at, digest.hexdigest()) != (part.size, part.sha256):
            raise shelf.corrupt(upload.key, f"part {part.number} is not what was stored")

    async def _check_still(self, upload: Upload, part: Part) -> None:
        def decide(objects: Objects) -> Decision[None]:
            objects.uploads.check_still(upload.key, upload.upload_id, [part])
            return Decision((), None)

        await self._index.ask(decide)

    async def _commit(
        self, wanted: Completing, parts: list[Part], content: Content
    ) -> tuple[StoredObject, list[str]]:
        """The object, and the blobs of the parts that went with its upload."""
        key, now = wanted.key, self._journals.now()

        def decide(objects: Objects) -> Decision[tuple[StoredObject, list[str]]]:
            blobs = objects.uploads.abort(key, content.upload).answer
            decision = objects.complete(key, parts, content, wanted.condition, now)
            return Decision(decision.records, (decision.answer, blobs))

        return await self._index.ask(decide)
