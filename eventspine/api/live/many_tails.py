"""Several streams on one connection: one pump per stream, one lock around the socket.

The id of every event holds the positions of all streams (multiplex.py), so that one Last-Event-ID
resumes them together. Events are encoded per reader here, because their ids are the reader's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
from starlette.types import Receive, Scope, Send

from eventspine.api.call import Call
from eventspine.api.live import multiplex, sse
from eventspine.api.live.tail import (
    Patience,
    carry,
    end_frame,
    ended_frame,
    gap_frame,
    send_end_only,
    start,
    subscribed,
    will_pass,
)
from eventspine.api.service import SpineService, Subscription
from eventspine.contracts.answers import TailSlice
from eventspine.contracts.context import RequestContext
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import EventspineError


class ManyTails:
    """The answer to GET /v1/sse. `after` holds a position per stream, `latest`, or nothing."""

    def __init__(
        self,
        spine: SpineService,
        call: Call,
        streams: Sequence[str],
        context: RequestContext,
        after: Mapping[str, str | None],
        resumed: bool,
    ) -> None:
        self._spine, self._call, self._context = spine, call, context
        self._streams, self._after, self._resumed = streams, after, resumed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        readers: dict[str, Subscription] = {}
        gone: dict[str, EventspineError] = {}
        try:
            for name in self._streams:
                readers[name], reason = await subscribed(
                    self._spine, name, self._context, self._after.get(name), self._resumed
                )
                if reason is not None:
                    gone[name] = reason
            pump = _Pump(self._spine, readers, send, gone, self._after)
            await carry(self._call, receive, pump)
        except EventspineError as error:
            if pump_started(readers, self._streams) or not will_pass(error):
                raise
            await send_end_only(send, error, None)
        finally:
            for reader in readers.values():
                await reader.aclose()


def pump_started(readers: Mapping[str, Subscription], streams: Sequence[str]) -> bool:
    return len(readers) == len(streams)


class _Pump:
    def __init__(
        self,
        spine: SpineService,
        readers: Mapping[str, Subscription],
        send: Send,
        gone: Mapping[str, EventspineError],
        after: Mapping[str, str | None],
    ) -> None:
        self._readers, self._send = readers, send
        self._limits = spine.settings.limits
        self._streams = sorted(readers)
        self._at: dict[str, Cursor] = {name: readers[name].cursor for name in self._streams}
        self._lock = anyio.Lock()
        self._sent_at = float("-inf")
        mark = multiplex.packed(self._streams, self._at)  # refuses what cannot be resumed
        self._preface = b"".join(
            [gap_frame(why, mark, after.get(name), stream_id=name) for name, why in gone.items()]
        )

    async def run(self, scope: anyio.CancelScope) -> None:
        self._patience = Patience(scope, self._limits)
        self._patience.renew()
        await start(self._send, self._preface)
        async with anyio.create_task_group() as group:
            for name, reader in self._readers.items():
                group.start_soon(self._pump, name, reader)
        await self._send({"type": "http.response.body", "body": b""})

    async def _pump(self, name: str, reader: Subscription) -> None:
        while True:
            try:
                piece = await reader.next()
                async with self._lock:
                    await self._deliver(name, piece)
            except StopAsyncIteration:
                async with self._lock:
                    await self._write(ended_frame(reader, self._mark(), stream_id=name))
                return
            except EventspineError as error:
                frame = end_frame(error.code, will_pass(error), None, stream_id=name)
                async with self._lock:
                    await self._write(frame)
                return

    async def _deliver(self, name: str, piece: TailSlice | None) -> None:
        if piece is not None:
            await self._write(self._encoded(name, piece))
        elif anyio.current_time() - self._sent_at > self._limits.heartbeat_s / 2:
            await self._write(sse.HEARTBEAT)  # one for all streams

    def _encoded(self, name: str, piece: TailSlice) -> bytes:
        frames = []
        for sequence, line in enumerate(piece.lines, piece.first):
            self._at[name] = Cursor(piece.epoch, sequence)
            frames.append(sse.event(line, self._mark()))
        return b"".join(frames)

    def _mark(self) -> str:
        return multiplex.packed(self._streams, self._at)

    async def _write(self, frames: bytes) -> None:
        self._sent_at = anyio.current_time()
        self._patience.renew()
        await self._send({"type": "http.response.body", "body": frames, "more_body": True})
