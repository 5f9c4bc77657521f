"""The endpoints of objects: bytes by key, ranges, pages by prefix, signed uploads.

Bodies are streamed both ways and never held whole. The ETag names a content: PUT and DELETE take it
in If-Match, `If-None-Match: *` wants no object there. What is stored is never run in a browser as a
page of this origin: every answer with bytes is in a sandbox.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TypeVar

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from eventspine.api import negotiation, query
from eventspine.api.address import Endpoint, RawRoute
from eventspine.api.answer import Answer, Header, json_answer
from eventspine.api.body import read_body
from eventspine.api.call import Call
from eventspine.api.context import ContextReader
from eventspine.api.refusals import ClientGone
from eventspine.api.service import SpineService
from eventspine.contracts.errors import (
    InvalidJson,
    InvalidRequest,
    ObjectNotFound,
    RangeNotSatisfiable,
    TooLarge,
    UploadRefused,
)
from eventspine.contracts.objects import Condition, StoredObject
from eventspine.services.objects import OCTETS, ObjectStoreService

_A = TypeVar("_A")
_PAGE_NAMES = frozenset(["prefix", "after", "limit"])
_NO_STORE: Header = (b"cache-control", b"no-store")
_REVALIDATE: Header = (b"cache-control", b"no-cache")
_SANDBOX: Header = (b"content-security-policy", b"sandbox; default-src 'none'")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
SHA256_HEADER = b"x-object-sha256"


class _Presign(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    content_type: str = OCTETS
    size_max: int | float | None = None
    expires_s: float = 900.0


class _Asset(msgspec.Struct, forbid_unknown_fields=True):
    metadata: msgspec.Raw


_presign = msgspec.json.Decoder(_Presign)
_asset = msgspec.json.Decoder(_Asset)


class ObjectEndpoints:
    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._spine = spine
        self._contexts = contexts
        self._limits = spine.settings.limits

    def routes(self) -> list[BaseRoute]:
        one = {"GET": self.get, "HEAD": self.head, "PUT": self.put, "DELETE": self.delete}
        # the key `presign` has its address, too, which would hide it otherwise
        named = {method: _keyed("presign", endpoint) for method, endpoint in one.items()}
        return [
            RawRoute("/v1/objects", {"GET": self.page}),
            RawRoute("/v1/objects/presign", {**named, "POST": self.presign}),
            RawRoute("/v1/objects/{key}", dict(one)),
            RawRoute("/v1/objects/{key}/metadata", {"PUT": self.register}),
            RawRoute("/v1/uploads/{token}", {"PUT": self.upload}),
        ]

    async def page(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, _PAGE_NAMES)
        limit = query.whole_number(values, "limit", 1) or self._limits.page_events_default
        page = await self._objects(call).page(
            values.get("prefix", ""), after=values.get("after"), limit=limit
        )
        found = [one.as_json() for one in page.objects]
        return json_answer(200, {"objects": found, "next": page.next}, [_NO_STORE])

    async def head(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        stored = await self._objects(call).head(call.parameters["key"])
        if stored is None:
            raise ObjectNotFound(f"no object {call.parameters['key'][:100]!r}")
        return Answer(200, headers=_headers(stored, stored.size))

    async def get(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        objects, key = self._objects(call), call.parameters["key"]
        stored = await objects.head(key)
        if stored is None:
            raise ObjectNotFound(f"no object {key[:100]!r}")
        tags = call.fields.joined(b"if-none-match")
        if tags == "*" or f'"{stored.etag}"' in tags:
            return Answer(304, headers=[(b"etag", _quoted(stored)), _REVALIDATE])
        return _Download(objects, key, _range(call, stored))

    async def put(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        condition, sha256 = _condition(call), call.fields.text(SHA256_HEADER)
        if sha256 is not None and not _SHA256.fullmatch(sha256):
            raise InvalidRequest("must be 64 hexadecimal digits", parameter="X-Object-Sha256")
        stored = await self._objects(call).put_stream(
            call.parameters["key"],
            _pieces(call, self._limits.object_bytes_max, "object_bytes_max"),
            content_type=_content_type(call),
            condition=condition,
            sha256=sha256,
        )
        return _described(stored)

    async def delete(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        key = call.parameters["key"]
        if not await self._objects(call).delete_object(key, condition=_condition(call)):
            raise ObjectNotFound(f"no object {key[:100]!r}")
        return Answer(204)

    async def register(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        objects, asked = self._objects(call), await self._asked(call, _asset)
        metadata = msgspec.json.decode(asked.metadata)
        return _described(await objects.register_asset(call.parameters["key"], metadata))

    async def presign(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        objects, asked = self._objects(call), await self._asked(call, _presign)
        made = await objects.presign_upload(
            asked.key, asked.content_type, _whole(asked.size_max), asked.expires_s
        )
        answer = {
            "method": "PUT",
            "path": made.path,
            "content_type": made.content_type,
            "size_max": made.size_max,
            "expires_at": made.expires_at,
        }
        return json_answer(200, answer, [_NO_STORE])

    async def upload(self, call: Call) -> ASGIApp:
        """The token says whose upload it is; the context headers are not looked at."""
        query.parsed(call.query, ())
        if call.fields.get(b"if-match") or call.fields.get(b"if-none-match"):
            raise UploadRefused("conditions are not part of what was signed")
        grant = await self._spine.upload_grant(call.parameters["token"])
        grant.check("PUT", _content_type(call))
        stored = await self._spine.objects(grant.context(call.request_id)).put_stream(
            grant.key,
            _pieces(call, grant.size_max, "size_max"),
            content_type=grant.content_type,
            size_max=grant.size_max,
        )
        return _described(stored)

    async def _asked(self, call: Call, decoder: msgspec.json.Decoder[_A]) -> _A:
        negotiation.require_json(call.fields)
        body = await read_body(call.receive, call.fields, self._limits.body_bytes_max)
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            raise InvalidRequest(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidJson(f"the body is not JSON: {error}") from None

    def _objects(self, call: Call) -> ObjectStoreService:
        return self._spine.objects(self._contexts.read(call.fields, call.request_id))


class _Download:
    """An answer that is streamed from an open object. What fails before its first piece is a
    problem document; later, the connection ends before the last piece.
    """

    def __init__(
        self, objects: ObjectStoreService, key: str, wanted: tuple[int, int | None] | None
    ) -> None:
        self._objects, self._key, self._wanted = objects, key, wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start, stop = self._wanted or (0, None)
        async with (
            self._objects.open_range(self._key, start, stop) as found,
            aclosing(found.pieces()) as pieces,
        ):
            first = await anext(pieces, b"")
            headers, status = _headers(found.stored, found.size), 200
            if self._wanted is not None:
                place = f"bytes {found.start}-{found.stop - 1}/{found.stored.size}"
                status = 206
                headers.append((b"content-range", place.encode()))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def _keyed(key: str, endpoint: Endpoint) -> Endpoint:
    async def keyed(call: Call) -> ASGIApp:
        call.parameters["key"] = key
        return await endpoint(call)

    return keyed


def _quoted(stored: StoredObject) -> bytes:
    return f'"{stored.etag}"'.encode()


def _headers(stored: StoredObject, size: int) -> list[Header]:
    digest = b64encode(bytes.fromhex(stored.sha256))
    return [
        (b"content-type", stored.content_type.encode()),
        (b"content-length", b"%d" % size),
        (b"accept-ranges", b"bytes"),
        (b"etag", _quoted(stored)),
        (SHA256_HEADER, stored.sha256.encode()),
        (b"repr-digest", b"sha-256=:%b:" % digest),
        _REVALIDATE,
        _SANDBOX,
    ]


def _described(stored: StoredObject) -> Answer:
    return json_answer(200, stored.as_json(), [(b"etag", _quoted(stored)), _NO_STORE])


def _condition(call: Call) -> Condition:
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


def _content_type(call: Call) -> str:
    return call.fields.text(b"content-type") or OCTETS


def _range(call: Call, stored: StoredObject) -> tuple[int, int | None] | None:
    """Start and stop of the one range that is asked for; None: the whole (RFC 9110, 14.2)."""
    found = _RANGE.fullmatch(call.fields.text(b"range") or "")
    if found is None or found[1] == found[2] == "":
        return None
    if call.fields.get(b"if-range") not in (None, _quoted(stored)):
        return None
    if found[1] == "":
        if int(found[2]) == 0:
            raise RangeNotSatisfiable("the last 0 bytes are none", size=stored.size)
        return -int(found[2]), None
    if found[2] == "":
        return int(found[1]), None
    if int(found[2]) < int(found[1]):
        return None
    return int(found[1]), int(found[2]) + 1


async def _pieces(call: Call, maximum: int, limit: str) -> AsyncIterator[bytes]:
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
