"""What requests for objects have in common: conditions, types, sums, streamed bodies, answers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec

from eventspine.api import negotiation
from eventspine.api.answer import NO_STORE, Answer, json_answer
from eventspine.api.body import read_body
from eventspine.api.call import Call
from eventspine.api.context import ContextReader
from eventspine.api.refusals import ClientGone
from eventspine.api.service import SpineService
from eventspine.contracts.errors import InvalidJson, InvalidRequest, TooLarge
from eventspine.contracts.object_uploads import Part
from eventspine.contracts.objects import Condition, StoredObject
from eventspine.services.object_presign import OCTETS, PresignedUpload
from eventspine.services.objects import ObjectStoreService

_A = TypeVar("_A")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
SHA256_HEADER = b"x-object-sha256"


class ObjectCalls:
    """What the endpoints of objects and of uploads stand on."""

    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._spine = spine
        self._contexts = contexts
        self._limits = spine.settings.limits
        self._body_bytes_max = self._limits.body_bytes_max

    def _objects(self, call: Call) -> ObjectStoreService:
        return self._spine.objects(self._contexts.read(call.fields, call.request_id))


class PresignBounds(msgspec.Struct, forbid_unknown_fields=True):
    """What an address is to allow, as a body says it."""

    content_type: str = OCTETS
    size_max: int | float | None = None
    expires_s: float = 900.0

    @property
    def bounds(self) -> tuple[str, int | None, float]:
        """Content type, largest size, seconds. Raises InvalidRequest."""
        return self.content_type, _whole(self.size_max), self.expires_s


async def asked_for(call: Call, decoder: msgspec.json.Decoder[_A], bytes_max: int) -> _A:
    """The body, decoded. Raises InvalidRequest, InvalidJson, and what reading it raises."""
    negotiation.require_json(call.fields)
    body = await read_body(call.receive, call.fields, bytes_max)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(f"the body is not JSON: {error}") from None


def stated_sum(call: Call) -> str | None:
    """X-Object-Sha256. Raises InvalidRequest."""
    return checked_sum(call.fields.text(SHA256_HEADER), "X-Object-Sha256")


def checked_sum(sha256: str | None, name: str) -> str | None:
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise InvalidRequest(f"{name} must be 64 hexadecimal digits", parameter=name)
    return sha256


def presigned(made: PresignedUpload) -> Answer:
    answer = {
        "method": "PUT",
        "path": made.path,
        "content_type": made.content_type,
        "size_max": made.size_max,
        "expires_at": made.expires_at,
    }
    return json_answer(200, answer, [NO_STORE])


def quoted(stored: StoredObject) -> bytes:
    return f'"{stored.etag}"'.encode()


def described(stored: StoredObject) -> Answer:
    return json_answer(200, stored.as_json(), [(b"etag", quoted(stored)), NO_STORE])


def condition(call: Call) -> Condition:
    """What If-Match and `If-None-Match: *` ask for."""
    wanted, unwanted = call.fields.text(b"if-match"), call.fields.text(b"if-none-match")
    if unwanted not in (None, "*"):
        raise InvalidRequest("If-None-Match must be *", parameter="If-None-Match")
    tag = "*" if wanted == "*" else negotiation.entity_tag(call.fields)
    return Condition(tag, unwanted is not None)


def _whole(size: float | None) -> int | None:
    """JSON has one kind of number: 5.0 is 5."""
    if size is None:
        return None
    if size != size // 1:
        raise InvalidRequest("size_max must be a whole number", parameter="size_max")
    return int(size)


def content_type(call: Call) -> str:
    return call.fields.text(b"content-type") or OCTETS


def described_part(part: Part) -> Answer:
    return json_answer(200, part.as_json(), [NO_STORE])


async def pieces(call: Call, maximum: int, limit: str) -> AsyncIterator[bytes]:
    """The body as it comes. Raises TooLarge before the first byte is read, and ClientGone."""
    stated = call.fields.get(b"content-length")
    if stated is not None and stated.isdigit() and int(stated[:19]) > maximum:
        actual = int(stated[:19])
        text = f"the object has {actual} bytes, the limit is {maximum}"
        raise TooLarge(text, limit=limit, maximum=maximum, actual=actual)
    more = True
    while more:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        yield message.get("body", b"")
