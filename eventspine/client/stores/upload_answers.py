"""Uploads and their parts as a server describes them."""

from __future__ import annotations

import msgspec

from eventspine.contracts.object_uploads import Part, Upload


class PartAnswer(msgspec.Struct):
    """One part."""

    number: int
    size: int
    sha256: str
    created_at: str

    @property
    def part(self) -> Part:
        return Part(self.number, self.size, self.sha256, self.created_at, "")


class UploadAnswer(msgspec.Struct):
    """An upload that is open."""

    upload_id: str
    key: str
    content_type: str
    created_at: str
    active_at: str
    parts: int
    size: int
    metadata: msgspec.Raw

    @property
    def upload(self) -> Upload:
        return Upload(
            self.upload_id,
            self.key,
            self.content_type,
            self.created_at,
            self.active_at,
            self.parts,
            self.size,
            bytes(self.metadata),
        )


class PartsAnswer(msgspec.Struct):
    """An upload, and a page of its parts."""

    upload: UploadAnswer
    parts: list[PartAnswer]
    next: int | None


class UploadsAnswer(msgspec.Struct):
    """A page of uploads."""

    uploads: list[UploadAnswer]
    next: str | None
