"""Objects: what the object store answers. Source: FN-03 … FN-08, KIND-09."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from eventspine.contracts.ids import path_segment


class StoredObject(NamedTuple):
    """One object as it stands, without its bytes. `etag` is another after every change."""

    key: str
    size: int
    sha256: str  # hexadecimal digits
    content_type: str
    etag: str
    version: int
    created_at: str
    blob: str  # the name its bytes came in under; another for every content
    metadata_json: bytes = b"null"
    upload: str = ""  # the multipart upload it came in, if it did

    @property
    def metadata(self) -> Any:
        return orjson.loads(self.metadata_json)

    def as_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "size": self.size,
            "sha256": self.sha256,
            "content_type": self.content_type,
            "etag": self.etag,
            "version": self.version,
            "created_at": self.created_at,
            "metadata": orjson.Fragment(self.metadata_json),
        }


class ObjectPage(NamedTuple):
    """Objects in key order; `next` is what `after` of the next page has to be, None at the end."""

    objects: list[StoredObject]
    next: str | None


class Content(NamedTuple):
    """Bytes that are durable and not yet known by a key."""

    size: int
    sha256: str
    content_type: str
    blob: str
    metadata_json: bytes = b"null"
    upload: str = ""


class Condition(NamedTuple):
    """`if_match`: only the object with this etag, `*`: any. `if_absent`: only if there is none."""

    if_match: str | None = None
    if_absent: bool = False


ALWAYS = Condition()


class Tidying(NamedTuple):
    """What a crash left in a folder of blobs, and what is to become of it."""

    publish: list[tuple[str, str]]  # key and blob: the index names it, its file has not its name
    drop: list[str]  # blobs that the index does not name
    remove: list[str]  # keys that were deleted, and their bytes were not


DRAFT_SUFFIX = ".new"  # no path segment holds a dot


def draft_name(blob: str) -> str:
    return blob + DRAFT_SUFFIX


def blob_name(key: str) -> str:
    """`blobs/{this}`: the injective path segment of a key."""
    return path_segment(key)
