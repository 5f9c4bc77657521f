"""The open multipart uploads of a scope, as the index of its objects holds them. Pure.

    "upload":{"id":"6f…","key":"film","content_type":"video/mp4"}                     begun
    "upload":{"id":"6f…","number":1,"size":8388608,"sha256":"2c…","blob":"9f…"}       a part
    "upload":{"id":"6f…","ended":true}                                                over

Rules: the bytes of a part are durable before it is here, under the name of a draft; a blob that is
neither here nor an object's is nobody's. An upload that ends with an object does so in the record
of that object, so that there is both or neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec

from eventspine.contracts.errors import InvalidParts, TooLarge, TooManyUploads, UploadNotFound
from eventspine.contracts.journal import Decision
from eventspine.contracts.object_uploads import (
    PARTS_MAX,
    ListedPart,
    Part,
    PartPage,
    Upload,
    UploadPage,
    UploadRoom,
)

_NOTHING = msgspec.Raw(b"null")


class UploadRecord(msgspec.Struct, omit_defaults=True):
    """With a key it was begun, with a number it got a part; else it has ended."""

    id: str
    key: str = ""
    content_type: str = ""
    metadata: msgspec.Raw = _NOTHING
    number: int = 0
    size: int = 0
    sha256: str = ""
    blob: str = ""
    ended: bool = False


class Expired(NamedTuple):
    """How many uploads were given up, and the blobs of their parts."""

    ended: int
    blobs: list[str]


class _Open:
    def __init__(self, begun: UploadRecord, at: str) -> None:
        self.begun = begun
        self.created_at = self.active_at = at
        self.parts: dict[int, Part] = {}
        self.size = 0

    @property
    def shown(self) -> Upload:
        begun = self.begun
        return Upload(
            begun.id,
            begun.key,
            begun.content_type,
            self.created_at,
            self.active_at,
            len(self.parts),
            self.size,
            bytes(begun.metadata),
        )


class Uploads:
    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._oldest: str | None = ""

    # --- what it adds up to ---

    def apply(self, record: UploadRecord, at: str) -> None:
        self._oldest = ""
        if record.ended:
            self._open.pop(record.id, None)
        elif record.key:
            self._open[record.id] = _Open(record, at)
        else:
            one = self._open[record.id]
            before = one.parts.get(record.number)
            one.size += record.size - (0 if before is None else before.size)
            one.active_at = max(one.active_at, at)
            one.parts[record.number] = Part(
                record.number, record.size, record.sha256, at, record.blob
            )

    @property
    def live(self) -> int:
        return sum(1 + len(one.parts) for one in self._open.values())

    def snapshot(self) -> Iterable[tuple[UploadRecord, str]]:
        """Records that add up to this, and when each was made."""
        for one in self._open.values():
            yield one.begun, one.created_at
            for part in one.parts.values():
                yield _record(one.begun.id, part), part.created_at

    # --- questions ---

    @property
    def oldest(self) -> str | None:
        """When the upload that nothing has come to for longest was active; None: there is none."""
        if self._oldest == "":
            self._oldest = min((one.active_at for one in self._open.values()), default=None)
        return self._oldest

    def blobs(self) -> set[str]:
        return {part.blob for one in self._open.values() for part in one.parts.values()}

    def find(self, key: str, id: str) -> Upload:
        """Raises UploadNotFound."""
        return self._found(key, id).shown

    def page(self, prefix: str, after: str | None, limit: int) -> UploadPage:
        """At most `limit` uploads in order of key, then id. `after`: a page's `next`."""
        found = [one for one in self._open.values() if one.begun.key.startswith(prefix)]
        if after is not None:
            key, _, id = after.rpartition(":")
            found = [one for one in found if _place(one) > (key, id)]
        found.sort(key=_place)
        more = len(found) > limit
        return UploadPage(
            [one.shown for one in found[:limit]],
            ":".join(_place(found[limit - 1])) if more else None,
        )

    def parts(self, key: str, id: str, after: int, limit: int) -> PartPage:
        """At most `limit` parts in order of number. Raises UploadNotFound."""
        one = self._found(key, id)
        numbers = sorted(number for number in one.parts if number > after)
        parts = [one.parts[number] for number in numbers[:limit]]
        return PartPage(one.shown, parts, parts[-1].number if len(numbers) > limit else None)

    def chosen(self, key: str, id: str, listed: Sequence[ListedPart]) -> list[Part]:
        """The parts that are listed. Raises UploadNotFound, InvalidParts."""
        one, before, parts = self._found(key, id), 0, []
        if not listed:
            raise InvalidParts("no part is listed")
        for number, sha256 in listed:
            if number <= before:
                raise InvalidParts(f"part {number} is listed after part {before}", number=number)
            part, before = one.parts.get(number), number
            if part is None:
                raise InvalidParts(f"there is no part {number}", number=number)
            if part.sha256 != sha256.lower():
                raise InvalidParts(
                    f"SHA-256 of part {number} is {part.sha256}",
                    number=number,
                    expected=sha256.lower(),
                    actual=part.sha256,
                )
            parts.append(part)
        return parts

    def check_still(self, key: str, id: str, parts: Sequence[Part]) -> None:
        """Raises UploadNotFound, InvalidParts: a part is not what it was when it was chosen."""
        one = self._found(key, id)
        for part in parts:
            if one.parts.get(part.number) != part:
                raise InvalidParts(
                    f"part {part.number} was put again meanwhile", number=part.number
                )

    # --- decisions ---

    def begin(self, begun: UploadRecord, room: UploadRoom, now: str) -> Decision[Upload]:
        """Raises TooManyUploads."""
        if len(self._open) >= room.uploads_max:
            raise TooManyUploads(
                f"{len(self._open)} uploads are open",
                limit="object_uploads_max",
                maximum=room.uploads_max,
            )
        return Decision((begun,), _Open(begun, now).shown)

    def put_part(self, key: str, id: str, part: Part, room: UploadRoom) -> Decision[Part | None]:
        """Take a part; answers the one it replaces. Raises UploadNotFound, TooLarge."""
        one = self._found(key, id)
        before = one.parts.get(part.number)
        size = one.size + part.size - (0 if before is None else before.size)
        if size > room.bytes_max:
            raise TooLarge(
                f"the parts have {size} bytes together, the limit is {room.bytes_max}",
                limit="object_bytes_max",
                maximum=room.bytes_max,
                actual=size,
            )
        return Decision((_record(id, part),), before)

    def abort(self, key: str, id: str) -> Decision[list[str]]:
        """End an upload; answers the blobs of its parts. Raises UploadNotFound."""
        return Decision((UploadRecord(id, ended=True),), _blobs(self._found(key, id)))

    def expire(self, before: str, busy: Collection[str], limit: int) -> Decision[Expired]:
        """End what was active last before then and nobody is busy with."""
        over = [
            one
            for one in self._open.values()
            if one.active_at <= before and one.begun.id not in busy
        ][:limit]
        records = [UploadRecord(one.begun.id, ended=True) for one in over]
        return Decision(records, Expired(len(over), [blob for one in over for blob in _blobs(one)]))

    def _found(self, key: str, id: str) -> _Open:
        one = self._open.get(id)
        if one is None or one.begun.key != key:
            raise UploadNotFound(f"no upload {id[:64]!r} of {key[:100]!r}")
        return one


def checked_number(number: int) -> int:
    """Raises InvalidParts."""
    if not 1 <= number <= PARTS_MAX:
        raise InvalidParts(f"a part has a number from 1 to {PARTS_MAX}", number=number)
    return number


def _record(id: str, part: Part) -> UploadRecord:
    return UploadRecord(id, number=part.number, size=part.size, sha256=part.sha256, blob=part.blob)


def _place(one: _Open) -> tuple[str, str]:
    return one.begun.key, one.begun.id


def _blobs(one: _Open) -> list[str]:
    return [part.blob for part in one.parts.values()]
