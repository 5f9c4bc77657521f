"""The header blocks of appends and of pages, each read once.

Job: from the bytes of a header block to what it says: context, negotiation, the answer's headers.
Rules: a block is read by the same parser and the same functions as on the ordinary way, and only
what all of them accept gets a Head; the rest has None and goes the ordinary way. Content-Length is
left out of what is remembered: it is all that differs between the requests of most clients, so
nearly every request finds its Head in a dictionary.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from eventspine.api import negotiation
from eventspine.api.context import REQUEST_ID, ContextReader, request_id_of, stated_trace_id
from eventspine.api.every_answer import EveryAnswer
from eventspine.api.fields import Fields
from eventspine.api.guard import refuse_framing
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import EventspineError
from eventspine.services.sender import Sender

_PLACE = "a-request-id-of-our-own"


class Head(NamedTuple):
    context: RequestContext
    sender: Sender
    request_id: str | None  # None: every request gets one of its own
    ndjson: bool
    minimal: bool
    idempotency_key: str | None
    expected: str | None
    before_id: bytes  # header lines of the answer, before and after the request id
    after_id: bytes


class KnownHeads:
    def __init__(self, contexts: ContextReader, every: EveryAnswer, known_max: int = 4096) -> None:
        self._contexts, self._every = contexts, every
        self.find = lru_cache(maxsize=known_max)(self._read)
        self.find_page = lru_cache(maxsize=known_max)(self._read_page)

    def _read(self, before: bytes, after: bytes) -> Head | None:
        """The Head of what stands before and after the value of Content-Length."""
        head = b"POST / HTTP/1.1\r\n%bContent-Length: 0%b\r\n\r\n" % (before, after)
        fields = _Reader().read(head)
        if fields is None:
            return None
        try:
            return self._head("POST", fields)
        except EventspineError:
            return None  # the ordinary way says why

    def _read_page(self, block: bytes) -> Head | None:
        """The Head of a request for a page; None for one with a body, or that wants a tail."""
        fields = _Reader().read(b"GET / HTTP/1.1\r\n%b\r\n" % block)
        if fields is None or negotiation.wants_event_stream(fields):
            return None
        if b"content-length" in fields or b"transfer-encoding" in fields:
            return None
        try:
            return self._head("GET", fields)
        except EventspineError:
            return None

    def _head(self, method: str, fields: Fields) -> Head | None:
        refuse_framing(fields)
        self._every.cors.refuse_foreign(method, fields)
        trace = fields.get(b"traceparent")
        if trace is not None and stated_trace_id(trace.decode("latin-1").strip()) is None:
            return None  # each request gets a trace of its own
        appends = method == "POST"
        context = self._contexts.read(fields, _PLACE)
        own_id = request_id_of(fields) if REQUEST_ID in fields else None
        lines = b"".join([b"%b: %b\r\n" % each for each in self._every.headers(fields, _PLACE)])
        before_id, _, after_id = lines.partition(_PLACE.encode())
        return Head(
            context,
            Sender(context),
            own_id,
            appends and negotiation.is_ndjson(fields),
            appends and negotiation.wants_minimal(fields),
            negotiation.idempotency_key(fields) if appends else None,
            negotiation.expected_position(fields) if appends else None,
            before_id,
            after_id,
        )


class _Reader:
    def __init__(self) -> None:
        self._parser = HttpRequestParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._keeps = self._complete = False

    def read(self, head: bytes) -> Fields | None:
        """The fields of one whole request that asks nothing special of its connection."""
        try:
            self._parser.feed_data(head)
        except (HttpParserError, HttpParserUpgrade):
            return None
        fields = Fields(self._headers)
        special = b"expect" in fields or b"upgrade" in fields
        return fields if self._complete and self._keeps and not special else None

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._keeps = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self._complete = True
