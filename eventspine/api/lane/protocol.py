"""EdgeProtocol with the short ways: which bytes of a connection go which way.

Rules: between two requests, bytes are looked at before uvicorn's parser has them; it never sees
those of a request that took a short way, and it gets all bytes of any other, as they came: both
ways may alternate on one connection. One request at a time: what a client sends ahead waits here,
as it waits in uvicorn's pipeline, and answers keep their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from eventspine.api.answer import Header
from eventspine.api.lane.append_lane import Request
from eventspine.api.lane.lanes import Lanes
from eventspine.api.lane.page_lane import PageLane
from eventspine.api.protocol import EdgeConfig, EdgeProtocol
from eventspine.contracts.errors import EventspineError


class LaneConfig(EdgeConfig):
    lanes: Lanes


class LaneProtocol(EdgeProtocol):
    def __init__(
        self,
        config: LaneConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._lanes: Lanes | None = config.lanes
        self._request: Request | None = None  # whose body is not all here
        self._waiting = False  # for the disk
        self._held = bytearray()
        self._ends = False  # after the next answer
        self._answered_at = 0.0

    # --- which way ---

    def data_received(self, data: bytes) -> None:
        if self._waiting:
            self._held += data
            self.flow.pause_reading()
        elif self._request is not None:
            self._held += data
            if len(self._held) < self._request.bytes:
                self._keep_time()
            else:
                self._run_whole(self._request, self._taken())
        else:
            self._begin(data)

    def _begin(self, data: bytes) -> None:
        """Bytes at the start of a request, or in the middle of one that the parser has."""
        cycle: RequestResponseCycle | None = self.cycle
        if (
            self._lanes is None
            or self._in_headers
            or self._in_body
            or (cycle is not None and not cycle.response_complete)
            or self.flow.write_paused
            or self._refused
        ):
            super().data_received(data)
            return
        if data.startswith(b"GET "):
            self._begin_page(self._lanes.pages, data)
            return
        if self._runs_compiled(data):
            return
        request = self._lanes.appends.find(data)
        if request is None:
            super().data_received(data)
        elif len(data) < request.bytes:
            self._stop_watching()  # a body has its own clock
            self._request, self._in_body = request, True
            self._held += data
            self._keep_time()
        else:
            self._run(request, data)

    def _begin_page(self, lane: PageLane, data: bytes) -> None:
        found = lane.answer(data, self)
        if found is None:
            super().data_received(data)
            return
        taken, head, body = found
        self._took(data, taken)
        self.answered(head, body)

    def _run_whole(self, request: Request, data: bytes) -> None:
        """A request that came in pieces, and is here now."""
        if not self._runs_compiled(data):
            self._run(request, data)

    def _runs_compiled(self, data: bytes) -> bool:
        core = self._lanes.appends.core if self._lanes is not None else None
        taken = core.start(data, self) if core is not None else 0
        if taken:
            self._took(data, taken)
        return bool(taken)

    def _run(self, request: Request, data: bytes) -> None:
        self._took(data, request.bytes)
        request.run(data, self)

    def _took(self, data: bytes, taken: int) -> None:
        """The first `taken` bytes are answered by a lane; an append waits for the disk."""
        self._waiting = True
        if self._deadline is not None:
            self._stop_watching()
        if len(data) > taken:
            self._held += data[taken:]
            self.flow.pause_reading()

    def _parse(self, data: bytes) -> None:
        """The ordinary way."""
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        if self._ends and cycle is not None:
            cycle.keep_alive = False

    def _taken(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        self._request, self._in_body = None, False
        return held

    def _unsupported_upgrade_warning(self) -> None:
        self._lanes = None  # what comes now is for the parser to refuse

    # --- the answer ---

    @property
    def default_headers(self) -> list[Header]:
        return self.server_state.default_headers

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def answered(self, head: bytes, body: bytes) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        last = b"connection: close\r\n\r\n" if self._ends else b"\r\n"
        self.transport.write(b"%b%b%b" % (head, last, body))
        if self._ends:
            self.transport.close()
            return
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._rest(self.timeout_keep_alive)
        if self._held:
            self.loop.call_soon(self._go_on)
        else:
            self._waiting = False

    def _go_on(self) -> None:
        """With what was sent ahead."""
        self._waiting = False
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._begin(self._taken())

    # --- the life of the connection ---

    def _rest(self, wait_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(wait_s, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """One timer looks at the clock when it fires, instead of one being made by every answer."""
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if self._waiting or self._request is not None:
            self._rest(self.timeout_keep_alive)
        elif left > 0:
            self._rest(left)
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        if self._waiting or self._request is not None:
            self._ends = True
        else:
            super().shutdown()

    def _refuse(self, error: EventspineError) -> None:
        self._hand_over()
        super()._refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hand_over()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn does so after a clean end alone

    def _hand_over(self) -> None:
        """A request that will not be completed ends as the parser and the front say."""
        if self._request is not None:
            self._parse(self._taken())
