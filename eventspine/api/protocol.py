"""uvicorn's httptools protocol with the deadlines and limits that it lacks.

Job: cut off silent connections, slow headers and slow bodies; bound header bytes and connections;
answer broken framing with a problem document.
Rules: no timer for a request that arrives whole, which is nearly every one. A request half
arrived arms one timer, which looks at the clock again when it fires instead of being moved by
every byte. A body that the application does not take (back-pressure) is not the client's fault.
A refusal comes behind the answers to the requests that came whole before it; an endless answer, or
one that takes longer than a head may, is cut instead. Nothing behind it is looked at.
Trailer fields are dropped: uvicorn would add them to the headers after the headers were checked.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from eventspine.api.answer import Answer
from eventspine.api.context import new_request_id
from eventspine.api.guard import SAME_ORIGIN, STANDARD_HEADERS
from eventspine.api.live.direct import WIRE, wire_of
from eventspine.api.live.tail import ABORT
from eventspine.api.problem import problem
from eventspine.api.refusals import HeadersTooLarge, RequestTimeout, TooManyConnections
from eventspine.contracts.errors import EventspineError, InvalidRequest
from eventspine.contracts.limits import Limits

# uvicorn warns of every request that is not HTTP; anybody could fill the log with those.
_QUIET = logging.getLogger("eventspine.server.http")
_QUIET.setLevel(logging.ERROR)


def _is_no_cancelled_task(record: logging.LogRecord) -> bool:
    """A request that the stop has cut off is an end, and no error with a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


_QUIET.addFilter(_is_no_cancelled_task)


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
        self._running: RequestResponseCycle | None = None  # `cycle` is the last that was parsed
        self._last_words = b""

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
        self._disconnect()
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
        self._stop_watching()  # a body has its own clock
        extensions: dict[str, Any] = {ABORT: self.transport.abort}
        self.scope["extensions"] = extensions
        super().on_headers_complete()
        self._in_headers, self._in_body = False, True
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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        if self._refused and not self.pipeline:
            self.server_state.total_requests += 1
            self._end(self._last_words)
        else:
            super().on_response_complete()

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
        """Say why, behind the answers that are due, and close."""
        if self._refused:
            return
        self._refused = True
        self._stop_watching()
        self._last_words = _raw(problem(error, "", new_request_id()))
        running, at_fault = self._running, self._in_body
        if at_fault and self.pipeline:
            self.pipeline.popleft()  # the request that is refused waits for its turn
            at_fault = False
        if running is None or running.response_complete:
            self._end(self._last_words)
        elif at_fault or (running.response_started and running.chunked_encoding):
            self._end(self._last_words if at_fault and not running.response_started else b"")
        else:
            self._deadline = self.loop.call_later(self._limits.header_s_max, self._end, b"")

    def _end(self, last_words: bytes) -> None:
        """No answer is due any more, or none that is waited for."""
        self._stop_watching()
        self.pipeline.clear()
        self._disconnect()
        if last_words and not self.transport.is_closing():
            self.transport.write(last_words)
        self.transport.close()

    def _disconnect(self) -> None:
        """What the running request waits for will not come, and its answer goes nowhere."""
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()


def _raw(answer: Answer) -> bytes:
    headers = [*answer.raw_headers, *STANDARD_HEADERS, SAME_ORIGIN, (b"connection", b"close")]
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[answer.status_code], *lines, b"\r\n", bytes(answer.body)])
