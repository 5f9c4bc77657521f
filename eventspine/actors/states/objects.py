"""The index of a scope's objects: what is stored under which key. Pure.

Rules: the bytes are durable before they are indexed; what the index does not name is not there.
`version` counts the changes of the index, so that an object that was deleted and written again
never has an etag it had before. A deleted key is remembered until its bytes are known to be gone,
so that a crash in between leaves none behind. Multipart uploads are a part of the index
(object_uploads.py): what changes them spends no version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from eventspine.actors.states.object_uploads import UploadRecord, Uploads
from eventspine.actors.states.sorted_keys import SortedKeys
from eventspine.contracts.errors import ObjectNotFound, PreconditionFailed
from eventspine.contracts.journal import Decision, State
from eventspine.contracts.object_uploads import Part
from eventspine.contracts.objects import (
    DRAFT_SUFFIX,
    Condition,
    Content,
    ObjectPage,
    StoredObject,
    Tidying,
    blob_name,
)

A = TypeVar("A")
NOTHING = msgspec.Raw(b"null")
ETAG_DIGITS = 16  # of the SHA-256; the version makes it unique


class ObjectRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """An object was written, described or deleted. Without a key: only the version counts.

    `upload`: what became of one; beside an object, the one it came in.
    """

    key: str
    size: int
    sha256: str
    content_type: str
    etag: str
    version: int
    created_at: str
    blob: str
    metadata: msgspec.Raw = NOTHING
    deleted: bool = False
    upload: UploadRecord | None = None


class Objects(State[ObjectRecord]):
    record = ObjectRecord

    def __init__(self) -> None:
        self.version = 0
        self.uploads = Uploads()
        self._objects: dict[str, StoredObject] = {}
        self._keys = SortedKeys()
        self._gone: dict[str, None] = {}  # deleted, and their bytes may still be there
        self._latest = ""

    # --- what it adds up to ---

    def apply(self, record: ObjectRecord, sequence: int) -> None:
        self.version = max(self.version, record.version)
        self._latest = max(self._latest, record.created_at)
        if record.upload is not None:
            self.uploads.apply(record.upload, record.created_at)
        if record.deleted:
            if record.key:
                self._gone[record.key] = None
            if self._objects.pop(record.key, None) is not None:
                self._keys.discard()
            return
        if record.key not in self._objects:
            self._keys.add(record.key)
        self._gone.pop(record.key, None)
        self._objects[record.key] = StoredObject(
            record.key,
            record.size,
            record.sha256,
            record.content_type,
            record.etag,
            record.version,
            record.created_at,
            record.blob,
            bytes(record.metadata),
            "" if record.upload is None else record.upload.id,
        )

    @property
    def live(self) -> int:
        return len(self._objects) + len(self._gone) + self.uploads.live

    def snapshot(self) -> Iterable[ObjectRecord]:
        last = 0
        for change, at in self.uploads.snapshot():
            yield self._of_upload(change, at)
        for one in self._objects.values():
            last = max(last, one.version)
            yield _record(one)
        for key in self._gone:
            yield self._gap(key, self.version, self._latest)
        if last < self.version and not self._gone:  # the number of the youngest change stays spent
            yield self._gap("", self.version, self._latest)

    # --- questions ---

    def head(self, key: str) -> StoredObject | None:
        return self._objects.get(key)

    def page(self, prefix: str, after: str | None, limit: int) -> ObjectPage:
        """At most `limit` objects in key order."""
        keys = self._keys.after(prefix, after, self._objects)
        objects = [self._objects[key] for key in islice(keys, limit)]
        more = next(keys, None)
        return ObjectPage(objects, None if more is None else objects[-1].key)

    def tidying(self, drafts: Sequence[str], there: Collection[str]) -> Tidying:
        """What to do with these drafts, which nobody is working on, and with what else is there.

        Args:
            drafts, there: names of files; of drafts, and of all.
        """
        blobs = [one.removesuffix(DRAFT_SUFFIX) for one in drafts]
        owners = {one.blob: key for key, one in self._objects.items()} if blobs else {}
        published = [(owners[blob], blob) for blob in blobs if blob in owners]
        parts = self.uploads.blobs() if blobs else set()
        dropped = [blob for blob in blobs if blob not in owners and blob not in parts]
        return Tidying(published, dropped, [key for key in self._gone if blob_name(key) in there])

    # --- decisions ---

    def check(self, key: str, condition: Condition) -> StoredObject | None:
        """What stands under the key. Raises PreconditionFailed."""
        current = self._objects.get(key)
        etag = None if current is None else current.etag
        if condition.if_absent and etag is not None:
            raise PreconditionFailed("there is an object with this key already", current=etag)
        wanted = condition.if_match
        if wanted is not None and (etag is None or wanted not in ("*", etag)):
            found = "there is none" if etag is None else f"it is at {etag}"
            raise PreconditionFailed(f"{found}, not at {wanted}", expected=wanted, current=etag)
        return current

    def put(
        self, key: str, content: Content, condition: Condition, now: str
    ) -> Decision[StoredObject]:
        """Durable bytes become the object of a key. Raises PreconditionFailed."""
        self.check(key, condition)
        return self._change(key, content, now)

    def describe(self, key: str, metadata_json: bytes, now: str) -> Decision[StoredObject]:
        """Other metadata for an object. Raises ObjectNotFound."""
        one = self._objects.get(key)
        if one is None:
            raise ObjectNotFound(f"no object {key[:100]!r}")
        content = Content(
            one.size, one.sha256, one.content_type, one.blob, metadata_json, one.upload
        )
        return self._change(key, content, now)

    def delete(self, key: str, condition: Condition, now: str) -> Decision[bool]:
        """The key names nothing any more. Answers whether it did. Raises PreconditionFailed."""
        if self.check(key, condition) is None:
            return Decision((), False)
        return Decision((self._gap(key, self.version + 1, now),), True)

    def complete(
        self, key: str, parts: Sequence[Part], content: Content, condition: Condition, now: str
    ) -> Decision[StoredObject]:
        """Durable bytes, joined from these parts, become the object of a key; its upload ends.

        Raises PreconditionFailed, UploadNotFound, InvalidParts.
        """
        self.uploads.check_still(key, content.upload, parts)
        return self.put(key, content, condition, now)

    def of_uploads(self, decision: Decision[A], now: str) -> Decision[A]:
        """What was decided on uploads, as records of this index."""
        return Decision(
            [
                self._of_upload(record, now)
                for record in decision.records
                if isinstance(record, UploadRecord)
            ],
            decision.answer,
        )

    def removed(self, key: str) -> Decision[None]:
        """The bytes of a deleted key are gone. Not written down: after a restart it is seen."""
        self._gone.pop(key, None)
        return Decision((), None)

    def _change(self, key: str, content: Content, now: str) -> Decision[StoredObject]:
        version = self.version + 1
        etag = f"{content.sha256[:ETAG_DIGITS]}-{version}"
        size, sha256, content_type, blob, metadata, upload = content
        stored = StoredObject(
            key, size, sha256, content_type, etag, version, now, blob, metadata, upload
        )
        return Decision((_record(stored),), stored)

    def _of_upload(self, change: UploadRecord, now: str) -> ObjectRecord:
        return ObjectRecord("", 0, "", "", "", self.version, now, "", deleted=True, upload=change)

    @staticmethod
    def _gap(key: str, version: int, now: str) -> ObjectRecord:
        return ObjectRecord(key, 0, "", "", "", version, now, "", deleted=True)


def _record(one: StoredObject) -> ObjectRecord:
    ended = UploadRecord(one.upload, ended=True) if one.upload else None
    return ObjectRecord(*one[:8], msgspec.Raw(one.metadata_json), upload=ended)
