"""Multipart uploads: an object that comes in parts, and what is known of them. Source: FN-03.

After S3: parts have numbers from 1 to 10,000 in any order, a part that is put again replaces the
one before, and completing names the parts the object is made of. Here a part is known by its
SHA-256, and there is no smallest size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

PARTS_MAX = 10_000


class Part(NamedTuple):
    """One part as it is stored, without its bytes."""

    number: int
    size: int
    sha256: str  # hexadecimal digits
    created_at: str
    blob: str  # the name its bytes have; another for every time it is put

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "size": self.size,
            "sha256": self.sha256,
            "created_at": self.created_at,
        }


class Upload(NamedTuple):
    """An upload that is open. `active_at`: when it was begun or got its latest part."""

    upload_id: str
    key: str
    content_type: str
    created_at: str
    active_at: str
    parts: int = 0
    size: int = 0  # of all its parts
    metadata_json: bytes = b"null"

    @property
    def metadata(self) -> Any:
        return orjson.loads(self.metadata_json)

    def as_json(self) -> dict[str, Any]:
        return {
            "upload_id": self.upload_id,
            "key": self.key,
            "content_type": self.content_type,
            "created_at": self.created_at,
            "active_at": self.active_at,
            "parts": self.parts,
            "size": self.size,
            "metadata": orjson.Fragment(self.metadata_json),
        }


class ListedPart(NamedTuple):
    """What completing says of one part."""

    number: int
    sha256: str


class PartPage(NamedTuple):
    """Parts in order of number; `next` is the `after` of the page behind it, None at the end."""

    upload: Upload
    parts: list[Part]
    next: int | None


class UploadPage(NamedTuple):
    """Open uploads in order of key and id; `next` is the `after` of the page behind it."""

    uploads: list[Upload]
    next: str | None


class UploadRoom(NamedTuple):
    """What uploads may hold: `object_uploads_max` of a scope, `object_bytes_max` each."""

    uploads_max: int
    bytes_max: int
