"""The short way of an append: from the bytes of a request to the bytes of its answer.

Job: see whether bytes are an append as nearly all are; if so run it, and make its answer.
Rules: what is unusual (escapes or a query in the address, a chunked or very long body, fields that
are refused or ask for more than an append) is not ours: the same bytes go the ordinary way, which
is the reference. What is ours is called with the same arguments, refused by the same problem
documents and counted in the same place as there. No task is made unless something has to be
waited for before the disk: a stream that is not awake, an event id to be looked up.
Why: a durable append costs 20 us, and Starlette, the front and uvicorn's cycle ten times that.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Any

import orjson

from eventspine.api.bodies import appended_body
from eventspine.api.context import new_request_id
from eventspine.api.every_answer import EveryAnswer
from eventspine.api.lane.connection import (
    ADDRESS,
    HEAD_BYTES_MAX,
    TEMPLATE,
    Connection,
    StatusLines,
    header_lines,
)
from eventspine.api.lane.known_heads import Head, KnownHeads
from eventspine.api.lane.turns import Turns
from eventspine.api.service import SpineService
from eventspine.contracts.answers import Appended
from eventspine.contracts.wire import decode_many, decode_one
from eventspine.native import core

BODY_BYTES_MAX = 256 * 1024  # a longer body takes so long that its way does not matter

_LINE = re.compile(rb"POST %b HTTP/1\.1\r\n" % ADDRESS).match
_OWN = (
    b'etag: "%b"\r\nx-stream-head: %b\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\n'
)
_MINIMAL = b"preference-applied: return=minimal\r\n"
_LENGTHS = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_LENGTH_BYTES = len(_LENGTHS[0])


class AppendLane:
    """One for the whole server."""

    def __init__(self, spine: SpineService, every: EveryAnswer, heads: KnownHeads) -> None:
        self.spine, self.every = spine, every
        self._heads = heads
        limits = spine.settings.limits
        self._head_bytes_max = min(HEAD_BYTES_MAX, limits.header_bytes_max)
        self._body_bytes_max = min(BODY_BYTES_MAX, limits.body_bytes_max)
        self.turns = Turns(limits.tenant_appends_a_pass)
        self.run = 0  # requests that went this way, the compiled ones apart
        self.status_lines = StatusLines()
        self.core = None if every.logs_requests else self._compiled()

    @property
    def taken(self) -> int:
        """Requests that went the short way, compiled or not."""
        return self.run + self.compiled

    @property
    def compiled(self) -> int:
        return self.core.taken if self.core is not None else 0

    def _compiled(self) -> Any:
        """The same in C, for requests that are here in full and hold plain events."""
        known = self.spine.known_bindings
        if core is None or known is None or self.every.logs_requests:
            return None
        return core.Lane(
            known=known,
            find_head=self._heads.find,
            may_run=self.turns.may_run,
            status_line=self.status_lines.of,
            failed=self._failed,
            decode=decode_one,
            decode_many=decode_many,
            loads=orjson.loads,
            counts=self.every.counts,
            count_key=("POST", TEMPLATE, 201),
            process=new_request_id().encode(),
            head_bytes_max=self._head_bytes_max,
            body_bytes_max=self._body_bytes_max,
            events_max=self.spine.settings.limits.batch_events_max,
        )

    def _failed(
        self,
        connection: Connection,
        head: Head,
        address: bytes,
        request_id: bytes,
        error: Exception,
    ) -> None:
        """A commit of the compiled lane was not made durable: its request is refused."""
        Request.refuse(self, connection, head, address, request_id.decode(), error)

    def find(self, data: bytes) -> Request | None:
        """The append these bytes begin with, perhaps without its whole body; None: not ours."""
        line = _LINE(data)
        if line is None:
            return None
        begin = line.end() - 2
        end = data.find(b"\r\n\r\n", begin, self._head_bytes_max)
        at = data.find(_LENGTHS[0], begin, end)
        if at < 0:
            at = data.find(_LENGTHS[1], begin, end)
        if end < 0 or at < 0:
            return None
        digits_end = data.find(b"\r\n", at + _LENGTH_BYTES, end + 2)
        digits = data[at + _LENGTH_BYTES : digits_end]
        if not digits.isdigit() or len(digits) > 7:
            return None
        length = int(digits)
        head = self._heads.find(data[begin + 2 : at + 2], data[digits_end:end])
        if head is None or length > self._body_bytes_max:
            return None
        return Request(self, line, head, end + 4, end + 4 + length)


class Request:
    """One append on the short way. The stream tells it, it tells its connection."""

    __slots__ = ("_begin", "_connection", "_head", "_id", "_lane", "_line", "_started_s", "bytes")

    def __init__(
        self, lane: AppendLane, line: re.Match[bytes], head: Head, begin: int, size: int
    ) -> None:
        """`begin`: where the body begins. `bytes`: where it ends and the next request begins."""
        self._lane, self._line, self._head = lane, line, head
        self._begin, self.bytes = begin, size

    def run(self, data: bytes, connection: Connection) -> None:
        """Append what is in `data`; the connection is answered, perhaps before this returns."""
        self._connection = connection
        self._started_s = time.perf_counter()
        tenant, turns = self._head.sender.scope.tenant_id, self._lane.turns
        if turns.may_run(tenant):
            self._start(data)
        else:
            turns.later(tenant, partial(self._start, data))

    def _start(self, data: bytes) -> None:
        lane, head, connection = self._lane, self._head, self._connection
        self._id = request_id = head.request_id or new_request_id()
        lane.run += 1
        stream_id, body = self._line[2].decode("ascii"), data[self._begin : self.bytes]
        try:
            soon = lane.spine.append_json_soon(
                stream_id,
                body,
                head.sender,
                request_id,
                self._done,
                ndjson=head.ndjson,
                idempotency_key=head.idempotency_key,
                expected=head.expected,
            )
        except Exception as error:
            self._done(None, error)
            return
        if not soon:
            connection.start(self._append(stream_id, body))

    async def _append(self, stream_id: str, body: bytes) -> None:
        head = self._head
        try:
            appended = await self._lane.spine.append_json(
                stream_id,
                body,
                head.context.for_request(self._id, head.context.trace_id),
                ndjson=head.ndjson,
                idempotency_key=head.idempotency_key,
                expected=head.expected,
            )
        except Exception as error:
            self._done(None, error)
        else:
            self._done(appended, None)

    @classmethod
    def refuse(
        cls,
        lane: AppendLane,
        connection: Connection,
        head: Head,
        address: bytes,
        request_id: str,
        error: Exception,
    ) -> None:
        """Answer a request that began elsewhere. Its time is not known."""
        line = _LINE(b"POST %b HTTP/1.1\r\n" % address)
        assert line is not None, "the compiled lane takes the same addresses"
        request = cls(lane, line, head, 0, 0)
        request._connection, request._id = connection, request_id
        request._started_s = time.perf_counter()
        request._done(None, error)

    def _done(self, appended: Appended | None, error: BaseException | None) -> None:
        lane, head, request_id = self._lane, self._head, self._id
        if appended is None:
            assert error is not None
            answer = lane.every.refusal(error, self._instance, request_id)
            status, own, body = (
                answer.status_code,
                header_lines(answer.raw_headers),
                bytes(answer.body),
            )
        else:
            status = 200 if appended.duplicates == len(appended.lines) else 201
            body = appended_body(appended, head.minimal)
            cursor = str(appended.head).encode()
            own = _OWN % (cursor, cursor, _MINIMAL if head.minimal else b"", len(body))
        first = lane.status_lines.of(status, self._connection.default_headers)
        lines = b"%b%b%b%b%b" % (first, own, head.before_id, request_id.encode(), head.after_id)
        lane.every.count("POST", TEMPLATE, status, self._instance, request_id, self._started_s)
        self._connection.answered(lines, body)

    @property
    def _instance(self) -> str:
        return self._line[1].decode("ascii")
