"""The endpoints of streams: read the request, call the service, splice the answer."""

from __future__ import annotations

from functools import partial
from urllib.parse import unquote

import anyio
from starlette.types import ASGIApp

from eventspine.api import negotiation, query
from eventspine.api.answer import JSON, NO_STORE, Answer, json_answer
from eventspine.api.bodies import appended_body
from eventspine.api.body import read_body, refuse_long
from eventspine.api.call import Call
from eventspine.api.context import QUERY_NAMES, ContextReader
from eventspine.api.live import multiplex
from eventspine.api.live.many_tails import ManyTails
from eventspine.api.live.tail import StreamTail
from eventspine.api.page_answer import found_answer, head_headers, page_answer, position_headers
from eventspine.api.presence import while_connected
from eventspine.api.service import SpineService
from eventspine.contracts.answers import Appended, Page
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import InvalidRequest
from eventspine.contracts.ids import checked_id
from eventspine.contracts.stream_filter import StreamFilter

PAGE_NAMES = frozenset(["after", "before", "limit", "wait"])
FILTER_NAMES = frozenset(["after", "limit", "type", "since", "until", "metadata"])
TAIL_NAMES = frozenset(["after", "last_event_id"]) | QUERY_NAMES
MANY_NAMES = TAIL_NAMES | {"streams"}
NO_NAMES: frozenset[str] = frozenset()
LATEST = "latest"


class StreamEndpoints:
    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._spine = spine
        self._contexts = contexts
        self._limits = spine.settings.limits

    # --- writing ---------------------------------------------------------------------------

    async def append(self, call: Call) -> ASGIApp:
        appended, _ = await self._appended(call)
        return _append_answer(call, appended)

    async def seed_append(self, call: Call) -> ASGIApp:
        """API-01: one event in, the stored event out; a batch is answered as /v1 does."""
        appended, single = await self._appended(call)
        if single and len(appended.lines) == 1:
            status = 200 if appended.duplicates else 201
            return Answer(status, appended.lines[0], JSON, position_headers(appended.head))
        return _append_answer(call, appended)

    async def _appended(self, call: Call) -> tuple[Appended, bool]:
        query.parsed(call.query, NO_NAMES)
        fields = call.fields
        ndjson = negotiation.is_ndjson(fields)
        key = negotiation.idempotency_key(fields)
        expected = negotiation.expected_position(fields)
        stream_id, context = self._addressed(call)
        refuse_long(fields, self._limits.body_bytes_max)
        body = await read_body(call.receive, fields, self._limits.body_bytes_max)
        appended = await self._spine.append_json(
            stream_id, body, context, ndjson=ndjson, idempotency_key=key, expected=expected
        )
        return appended, not ndjson and body.lstrip()[:1] == b"{"

    async def close(self, call: Call) -> ASGIApp:
        query.parsed(call.query, NO_NAMES)
        stream_id, context = self._addressed(call)
        head = await self._spine.close_stream(stream_id, context)
        members = {
            "head": str(head.cursor),
            "earliest": str(head.earliest),
            "closed": head.closed,
        }
        return json_answer(200, members, head_headers(head))

    async def delete(self, call: Call) -> ASGIApp:
        query.parsed(call.query, NO_NAMES)
        stream_id, context = self._addressed(call)
        await self._spine.delete_stream(stream_id, context)
        return Answer(204)

    # --- reading ---------------------------------------------------------------------------

    async def page(self, call: Call) -> ASGIApp:
        if negotiation.wants_event_stream(call.fields):
            return await self.tail(call)
        values = query.parsed(call.query, PAGE_NAMES)
        limit = query.whole_number(values, "limit", 1)
        wait_s = query.seconds(values, "wait", self._limits.long_poll_s_max)
        stream_id, context = self._addressed(call)
        listing = partial(
            self._spine.list_after,
            stream_id,
            _position(values, "after"),
            context,
            before=_position(values, "before"),
            limit=limit,
            wait_s=wait_s,
        )
        if not wait_s:
            return page_answer(await listing())

        async def work(_: anyio.CancelScope) -> Page:
            return await listing()

        return page_answer(await while_connected(call.receive, work))

    async def query(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, FILTER_NAMES)
        limit = query.whole_number(values, "limit", 1)
        stream_id, context = self._addressed(call)
        wanted = StreamFilter(
            [unquote(name) for name in filter(None, values.get("type", "").split(","))],
            since=values.get("since"),
            until=values.get("until"),
            metadata=query.pairs(values, "metadata"),
        )
        found = await self._spine.query(
            stream_id, wanted, context, after=_position(values, "after"), limit=limit
        )
        return found_answer(found)

    async def head(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, PAGE_NAMES)
        query.whole_number(values, "limit", 1)  # no page is read, but what GET refuses is refused
        query.seconds(values, "wait", self._limits.long_poll_s_max)
        stream_id, context = self._addressed(call)
        head = await self._spine.head(stream_id, context)
        headers = head_headers(head)
        headers += [(b"content-type", JSON), NO_STORE, (b"vary", b"accept")]
        return Answer(200, headers=headers)

    async def tail(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, TAIL_NAMES)
        stream_id, context = self._addressed(call, values)
        last = _last_event_id(call, values)
        after = _position(values, "after") if last is None else last
        return StreamTail(self._spine, call, stream_id, context, after, last is not None)

    async def many(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, MANY_NAMES)
        if not values.get("streams"):
            raise InvalidRequest("streams is missing: ?streams=a,b,c", parameter="streams")
        streams = multiplex.stream_list(values["streams"], self._limits.multiplex_streams_max)
        context = self._contexts.read(call.fields, call.request_id, values)
        last = _last_event_id(call, values)
        after = _positions(streams, _position(values, "after") if last is None else last)
        return ManyTails(self._spine, call, streams, context, after, last is not None)

    def _addressed(
        self, call: Call, values: dict[str, str] | None = None
    ) -> tuple[str, RequestContext]:
        stream_id = checked_id(call.parameters["stream_id"], "stream_id")
        return stream_id, self._contexts.read(call.fields, call.request_id, values)


def _position(values: dict[str, str], name: str) -> str | None:
    """The position a parameter states; an empty one states none, as an empty header does."""
    return values.get(name) or None


def _last_event_id(call: Call, values: dict[str, str]) -> str | None:
    """The header wins over the query: EventSource repeats its address when it comes back."""
    return call.fields.text(b"last-event-id") or values.get("last_event_id") or None


def _positions(streams: list[str], text: str | None) -> dict[str, str | None]:
    if text is None or text == LATEST:
        return dict.fromkeys(streams, text)
    found = multiplex.unpacked(text, streams)
    return {name: str(cursor) for name, cursor in found.items()}


def _append_answer(call: Call, appended: Appended) -> Answer:
    minimal = negotiation.wants_minimal(call.fields)
    status = 200 if appended.duplicates == len(appended.lines) else 201
    headers = position_headers(appended.head)
    if minimal:
        headers.append((b"preference-applied", b"return=minimal"))
    return Answer(status, appended_body(appended, minimal), JSON, headers)
