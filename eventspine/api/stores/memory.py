"""The endpoints of session memory: entries by key, times to live, counters.

An entry's version is its ETag: PUT and DELETE take it in If-Match, and `If-None-Match: *` wants no
entry there. Keys are percent-encoded in the address. A GET of an entry that slides lets it live on.
"""

from __future__ import annotations

import re

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import negotiation, query
from eventspine.api.address import RawRoute
from eventspine.api.answer import NO_STORE, Answer, json_answer
from eventspine.api.body import read_body
from eventspine.api.call import Call
from eventspine.api.context import ContextReader
from eventspine.api.service import SpineService
from eventspine.contracts.entries import TTL_S_MAX, Entry
from eventspine.contracts.errors import EntryNotFound, InvalidRequest
from eventspine.contracts.json_text import json_text
from eventspine.services.memory import MemoryStoreService

_SIGNED = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_ENTRY = "/v1/memory/{namespace}/entries/{key}"


class MemoryEndpoints:
    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._spine = spine
        self._contexts = contexts
        self._limits = spine.settings.limits

    def routes(self) -> list[BaseRoute]:
        return [
            RawRoute("/v1/memory/{namespace}/entries", {"GET": self.page}),
            RawRoute(_ENTRY, {"GET": self.get, "PUT": self.put, "DELETE": self.delete}),
            RawRoute(f"{_ENTRY}/ttl", {"GET": self.ttl}),
            RawRoute(f"{_ENTRY}/touch", {"POST": self.touch}),
            RawRoute(f"{_ENTRY}/incr", {"POST": self.incr}),
            RawRoute("/v1/memory/{namespace}/sweep", {"POST": self.sweep}),
        ]

    async def page(self, call: Call) -> ASGIApp:
        prefix, after, limit = query.prefix_page(call.query, self._limits.page_events_default)
        page = await self._memory(call).scan(prefix, after, limit)
        entries = [entry.as_json() for entry in page.entries]
        return json_answer(200, {"entries": entries, "next": page.next}, [NO_STORE])

    async def get(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        entry = await self._memory(call).get_entry(call.parameters["key"])
        if entry is None:
            raise _not_there(call)
        return _entry_answer(entry)

    async def put(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, ["ttl_s", "slide_s"])
        ttl_s, slide_s = _ttl(values), _ttl(values, "slide_s")
        negotiation.require_json(call.fields)
        memory = self._memory(call)
        json = json_text(await read_body(call.receive, call.fields, self._limits.body_bytes_max))
        key, if_version = call.parameters["key"], negotiation.expected_version(call.fields)
        return _entry_answer(
            await memory.set_json(key, json, ttl_s, if_version=if_version, slide_s=slide_s)
        )

    async def delete(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        key = call.parameters["key"]
        if not await self._memory(call).delete(
            key, if_version=negotiation.expected_version(call.fields)
        ):
            raise _not_there(call)
        return Answer(204)

    async def ttl(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        left = await self._memory(call).ttl(call.parameters["key"])
        return json_answer(200, {"ttl_s": left}, [NO_STORE])

    async def touch(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, ["ttl_s"])
        return _entry_answer(await self._memory(call).touch(call.parameters["key"], _ttl(values)))

    async def incr(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, ["by", "ttl_s"])
        by, ttl_s = values.get("by", "1"), _ttl(values)
        if not _SIGNED.fullmatch(by):
            raise InvalidRequest("by must be an integer of 64 bits", parameter="by")
        memory = self._memory(call)
        return _entry_answer(await memory.incr_entry(call.parameters["key"], int(by), ttl_s=ttl_s))

    async def sweep(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        expired = [one._asdict() for one in await self._memory(call).sweep()]
        return json_answer(200, {"expired": expired}, [NO_STORE])

    def _memory(self, call: Call) -> MemoryStoreService:
        context = self._contexts.read(call.fields, call.request_id)
        return self._spine.memory(context, call.parameters["namespace"])


def _ttl(values: dict[str, str], name: str = "ttl_s") -> float | None:
    return query.seconds(values, name, TTL_S_MAX) if name in values else None


def _not_there(call: Call) -> EntryNotFound:
    return EntryNotFound(f"no entry {call.parameters['key'][:100]!r}")


def _entry_answer(entry: Entry) -> Answer:
    return json_answer(200, entry.as_json(), [(b"etag", b'"%d"' % entry.version), NO_STORE])
