"""The endpoints of objects: bytes by key, ranges, pages by prefix, signed uploads.

Bodies are streamed both ways and never held whole. The ETag names a content: PUT and DELETE take it
in If-Match, `If-None-Match: *` wants no object there. What is stored is never run in a browser as a
page of this origin: every answer with bytes is in a sandbox.
"""

from __future__ import annotations

import re
from base64 import b64encode
from contextlib import aclosing

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from eventspine.api import query
from eventspine.api.address import Endpoint, RawRoute
from eventspine.api.answer import NO_STORE, Answer, Header, json_answer
from eventspine.api.call import Call
from eventspine.api.stores.object_requests import (
    SHA256_HEADER,
    ObjectCalls,
    PresignBounds,
    asked_for,
    condition,
    content_type,
    described,
    described_part,
    pieces,
    presigned,
    quoted,
    stated_sum,
)
from eventspine.contracts.errors import (
    ObjectNotFound,
    RangeNotSatisfiable,
    UploadRefused,
)
from eventspine.contracts.objects import StoredObject
from eventspine.services.objects import ObjectStoreService

_REVALIDATE: Header = (b"cache-control", b"no-cache")
_SANDBOX: Header = (b"content-security-policy", b"sandbox; default-src 'none'")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)


class _Presign(PresignBounds, forbid_unknown_fields=True, kw_only=True):
    key: str


class _Asset(msgspec.Struct, forbid_unknown_fields=True):
    metadata: msgspec.Raw


_presign = msgspec.json.Decoder(_Presign)
_asset = msgspec.json.Decoder(_Asset)


class ObjectEndpoints(ObjectCalls):
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
        prefix, after, limit = query.prefix_page(call.query, self._limits.page_events_default)
        page = await self._objects(call).page(prefix, after=after, limit=limit)
        found = [one.as_json() for one in page.objects]
        return json_answer(200, {"objects": found, "next": page.next}, [NO_STORE])

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
            return Answer(304, headers=[(b"etag", quoted(stored)), _REVALIDATE])
        return _Download(objects, key, _range(call, stored))

    async def put(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        wanted, sha256 = condition(call), stated_sum(call)
        stored = await self._objects(call).put_stream(
            call.parameters["key"],
            pieces(call, self._limits.object_bytes_max, "object_bytes_max"),
            content_type=content_type(call),
            condition=wanted,
            sha256=sha256,
        )
        return described(stored)

    async def delete(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        key = call.parameters["key"]
        if not await self._objects(call).delete_object(key, condition=condition(call)):
            raise ObjectNotFound(f"no object {key[:100]!r}")
        return Answer(204)

    async def register(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        objects, asked = self._objects(call), await asked_for(call, _asset, self._body_bytes_max)
        metadata = msgspec.json.decode(asked.metadata)
        return described(await objects.register_asset(call.parameters["key"], metadata))

    async def presign(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        objects = self._objects(call)
        asked = await asked_for(call, _presign, self._body_bytes_max)
        return presigned(await objects.presign_upload(asked.key, *asked.bounds))

    async def upload(self, call: Call) -> ASGIApp:
        """The token says whose upload it is; the context headers are not looked at."""
        query.parsed(call.query, ())
        if call.fields.get(b"if-match") or call.fields.get(b"if-none-match"):
            raise UploadRefused("conditions are not part of what was signed")
        grant = await self._spine.upload_grant(call.parameters["token"])
        grant.check("PUT", content_type(call))
        objects = self._spine.objects(grant.context(call.request_id))
        body = pieces(call, grant.size_max, "size_max")
        if grant.upload_id:
            part = await objects.uploads.put_part(
                grant.key,
                grant.upload_id,
                grant.part,
                body,
                sha256=stated_sum(call),
                size_max=grant.size_max,
            )
            return described_part(part)
        stored = await objects.put_stream(
            grant.key,
            body,
            sha256=stated_sum(call),
            content_type=grant.content_type,
            size_max=grant.size_max,
        )
        return described(stored)


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


def _headers(stored: StoredObject, size: int) -> list[Header]:
    digest = b64encode(bytes.fromhex(stored.sha256))
    return [
        (b"content-type", stored.content_type.encode()),
        (b"content-length", b"%d" % size),
        (b"accept-ranges", b"bytes"),
        (b"etag", quoted(stored)),
        (SHA256_HEADER, stored.sha256.encode()),
        (b"repr-digest", b"sha-256=:%b:" % digest),
        _REVALIDATE,
        _SANDBOX,
    ]


def _range(call: Call, stored: StoredObject) -> tuple[int, int | None] | None:
    """Start and stop of the one range that is asked for; None: the whole (RFC 9110, 14.2)."""
    found = _RANGE.fullmatch(call.fields.text(b"range") or "")
    if found is None or found[1] == found[2] == "":
        return None
    if call.fields.get(b"if-range") not in (None, quoted(stored)):
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
