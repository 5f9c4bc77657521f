"""uvicorn's httptools protocol with the deadlines and limits that it lacks.

Job: cut off silent connections, slow headers and slow bodies; bound header bytes and connections;
answer broken framing with a problem document.
Rules: no timer for a request that arrives whole, which is nearly every one. A request half
arrived arms one timer, which looks at the clock again when it fires instead of being moved by
every byte. A body that the application does not take (back-pressure) is not the client's fault.
Trailer fields are dropped: uvicorn would add them to the headers after the headers were checked.
The fast lane for appends belongs into `on_message_complete`,
where headers and body of a small request are both here and no task has been made yet.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from eventspine.api.answer import Answer
from eventspine.api.context import new_request_id
from eventspine.api.direct import WIRE, wire_of
from eventspine.api.guard import SAME_ORIGIN, STANDARD_HEADERS
from eventspine.api.problem import problem
from eventspine.api.refusals import HeadersTooLarge, RequestTimeout, TooManyConnections
from eventspine.api.tail import ABORT
from eventspine.contracts.errors import EventspineError, InvalidRequest
from eventspine.contracts.limits import Limits

# uvicorn warns of every request that is not HTTP; anybody could fill the log with those.
_QUIET = logging.getLogger("eventspine.server.http")
_QUIET.setLevel(logging.ERROR)


class EdgeConfig(Config):
    """uvicorn's settings and ours, handed to every connection."""

    limits: Limits


class EdgeProtocol(HttpToolsProtocol):
    def __init__(
        self,
        config: EdgeConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _QUIET
        self._limits = config.limits
        self._in_headers = False
        self._in_body = False
        self._refused = False
        self._header_bytes = 0
        self._began_at = 0.0
        self._heard_at = 0.0
        self._deadline: asyncio.TimerHandle | None = None

    # --- connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=self._limits.reader_lag_bytes_max)
        if len(self.connections) > self._limits.connections_max:
            self._refuse(
                TooManyConnections(
                    f"{self._limits.connections_max} connections are open",
                    limit="connections_max",
                    maximum=self._limits.connections_max,
                    retry_after_s=1,
                )
            )
            return
        self._began_at = self._heard_at = self.loop.time()
        self._watch(self._limits.header_s_max)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    # --- data ---

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_headers:
            self._header_bytes += len(data)
        else:
            self._header_bytes = len(data)
        super().data_received(data)
        if not self._refused:
            self._keep_time()

    def _keep_time(self) -> None:
        """After a piece of input: is a deadline running that should not, or the other way?"""
        if self._in_headers:
            if self._header_bytes > self._limits.header_bytes_max:
                self._refuse_headers()
            elif self._deadline is None:
                self._began_at = self.loop.time()
                self._watch(self._limits.header_s_max)
        elif self._in_body:
            self._heard_at = self.loop.time()
            if self._deadline is None:
                self._began_at = self._heard_at
                self._watch(min(self._limits.body_stall_s_max, self._limits.body_s_max))
        elif self._deadline is not None:
            self._stop_watching()

    def on_message_begin(self) -> None:
        if self._refused:
            return
        self._in_headers, self._in_body = True, False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        if (
            self._header_bytes > self._limits.header_bytes_max
            and self._size() > self._limits.header_bytes_max
        ):
            self._refuse_headers()
            return
        self._in_headers, self._in_body = False, True
        self._stop_watching()  # a body has its own clock
        extensions: dict[str, Any] = {ABORT: self.transport.abort}
        self.scope["extensions"] = extensions
        super().on_headers_complete()
        extensions[WIRE] = partial(wire_of, self.cycle)
        self.headers = []  # for trailer fields; the request keeps the list it was checked with

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._in_body = False
        super().on_message_complete()

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    # --- deadlines ---

    def _watch(self, wait_s: float) -> None:
        self._deadline = self.loop.call_later(max(wait_s, 0.001), self._look)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _look(self) -> None:
        self._deadline = None
        if self.transport.is_closing() or self._refused:
            return
        now, limits = self.loop.time(), self._limits
        if not self._in_body:
            self._too_slow("the headers", self._began_at + limits.header_s_max - now)
            return
        if self.flow.read_paused:
            self._heard_at = now
        left = min(self._heard_at + limits.body_stall_s_max, self._began_at + limits.body_s_max)
        self._too_slow("the body", left - now)

    def _too_slow(self, what: str, left_s: float) -> None:
        if left_s > 0:
            self._watch(left_s)
        elif what == "the headers" and not self._in_headers:
            self.transport.close()  # connected and never said a word: nothing to answer
        else:
            self._refuse(RequestTimeout(f"{what} did not arrive in time"))

    # --- refusals ---

    def _refuse_headers(self) -> None:
        self._refuse(
            HeadersTooLarge(
                f"the header fields pass {self._limits.header_bytes_max} bytes",
                limit="header_bytes_max",
                maximum=self._limits.header_bytes_max,
            )
        )

    def send_400_response(self, msg: str) -> None:
        self._refuse(InvalidRequest("the request is not valid HTTP (RFC 9112)"))

    def _unsupported_upgrade_warning(self) -> None:
        """No log line: anybody could fill the log with them. The request is answered as it is."""

    def _refuse(self, error: EventspineError) -> None:
        """Say why, if the line is free for it, and close."""
        self._refused = True
        self._stop_watching()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.write(_raw(problem(error, "", new_request_id())))
        else:
            if not cycle.response_started and self._in_body:
                self.transport.write(_raw(problem(error, "", new_request_id())))
            cycle.disconnected = True  # what it waits for will not come
            cycle.message_event.set()
        self.transport.close()


def _raw(answer: Answer) -> bytes:
    headers = [*answer.raw_headers, *STANDARD_HEADERS, SAME_ORIGIN, (b"connection", b"close")]
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[answer.status_code], *lines, b"\r\n", bytes(answer.body)])
