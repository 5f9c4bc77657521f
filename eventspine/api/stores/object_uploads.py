"""The endpoints of multipart uploads: begun, parts put and listed, completed or aborted.

A part is a PUT of its own, streamed, and may be sent again. Completing takes the same conditions as
putting an object.
"""

from __future__ import annotations

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import query
from eventspine.api.address import RawRoute
from eventspine.api.answer import NO_STORE, Answer, json_answer
from eventspine.api.call import Call
from eventspine.api.stores.object_requests import (
    ObjectCalls,
    PresignBounds,
    asked_for,
    checked_sum,
    condition,
    described,
    described_part,
    pieces,
    presigned,
    stated_sum,
)
from eventspine.contracts.errors import InvalidParts, InvalidRequest
from eventspine.contracts.object_uploads import PARTS_MAX
from eventspine.services.object_presign import OCTETS
from eventspine.services.object_uploads import ObjectUploads

_UPLOAD = "/v1/objects/{key}/uploads/{upload_id}"
_PARTS_NAMES = frozenset(["after", "limit"])
_EMPTY = msgspec.Raw(b"null")


class _Begin(msgspec.Struct, forbid_unknown_fields=True):
    content_type: str = OCTETS
    metadata: msgspec.Raw = _EMPTY


class _Listed(msgspec.Struct, forbid_unknown_fields=True):
    number: int | float
    sha256: str


class _Complete(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[_Listed]
    sha256: str | None = None


_begin = msgspec.json.Decoder(_Begin)
_complete = msgspec.json.Decoder(_Complete)
_presign = msgspec.json.Decoder(PresignBounds)


class UploadEndpoints(ObjectCalls):
    def routes(self) -> list[BaseRoute]:
        return [
            RawRoute("/v1/uploads", {"GET": self.page}),
            RawRoute("/v1/objects/{key}/uploads", {"POST": self.create}),
            RawRoute(_UPLOAD, {"GET": self.parts, "DELETE": self.abort}),
            RawRoute(f"{_UPLOAD}/complete", {"POST": self.complete}),
            RawRoute(f"{_UPLOAD}/parts/{{number}}", {"PUT": self.put_part}),
            RawRoute(f"{_UPLOAD}/parts/{{number}}/presign", {"POST": self.presign}),
        ]

    async def page(self, call: Call) -> ASGIApp:
        prefix, after, limit = query.prefix_page(call.query, self._limits.page_events_default)
        page = await self._uploads(call).page(prefix, after=after, limit=limit)
        found = [one.as_json() for one in page.uploads]
        return json_answer(200, {"uploads": found, "next": page.next}, [NO_STORE])

    async def create(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        uploads = self._uploads(call)
        asked = await asked_for(call, _begin, self._body_bytes_max)
        metadata = msgspec.json.decode(asked.metadata)
        upload = await uploads.create(
            call.parameters["key"], content_type=asked.content_type, metadata=metadata
        )
        return json_answer(201, upload.as_json(), [NO_STORE])

    async def parts(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, _PARTS_NAMES)
        page = await self._uploads(call).parts(
            *_address(call),
            after=query.whole_number(values, "after", 0) or 0,
            limit=query.whole_number(values, "limit", 1),
        )
        parts = [part.as_json() for part in page.parts]
        answer = {"upload": page.upload.as_json(), "parts": parts, "next": page.next}
        return json_answer(200, answer, [NO_STORE])

    async def put_part(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        part = await self._uploads(call).put_part(
            *_address(call),
            _number(call),
            pieces(call, self._limits.object_bytes_max, "object_bytes_max"),
            sha256=stated_sum(call),
        )
        return described_part(part)

    async def complete(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        uploads, wanted = self._uploads(call), condition(call)
        asked = await asked_for(call, _complete, self._body_bytes_max)
        listed = [
            (_whole(one.number), checked_sum(one.sha256, "sha256") or "") for one in asked.parts
        ]
        stored = await uploads.complete(
            *_address(call), listed, condition=wanted, sha256=checked_sum(asked.sha256, "sha256")
        )
        return described(stored)

    async def abort(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        await self._uploads(call).abort(*_address(call))
        return Answer(204)

    async def presign(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        (key, upload_id), number = _address(call), _number(call)
        uploads = self._uploads(call)
        asked = await asked_for(call, _presign, self._body_bytes_max)
        made = await uploads.presign_part(key, upload_id, number, *asked.bounds)
        return presigned(made)

    def _uploads(self, call: Call) -> ObjectUploads:
        return self._objects(call).uploads


def _address(call: Call) -> tuple[str, str]:
    return call.parameters["key"], call.parameters["upload_id"]


def _number(call: Call) -> int:
    text = call.parameters["number"]
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(PARTS_MAX))):
        raise InvalidParts(f"a part has a number from 1 to {PARTS_MAX}")
    return int(text)


def _whole(number: float) -> int:
    """JSON has one kind of number: 5.0 is 5."""
    if number != number // 1:
        raise InvalidRequest("number must be a whole number", parameter="number")
    return int(number)
