"""A live reader over SSE: history after a position, then the tail, on one connection.

Job: carry slices from a Subscription to the socket, one send per slice.
Rules (DESIGN decision 9): a browser's EventSource is closed for ever by
410, 429 and 503, so a position that is gone is a `gap` event and a refusal that will pass is an
`end` event, both under 200. A resume at the end of a closed stream is 204, the one answer that
tells an EventSource to stay away.
Refused: a queue or a timer per reader. The heartbeat is the subscription's; the stall limit is the
deadline of the one cancel scope the connection has anyway, moved on a few times a minute.
"""

from __future__ import annotations

import logging
from typing import Protocol

import anyio
from starlette.types import Receive, Scope, Send

from eventspine.api.answer import Header
from eventspine.api.call import Call
from eventspine.api.live import sse
from eventspine.api.live.direct import wire_for
from eventspine.api.presence import while_connected
from eventspine.api.problem import public_detail
from eventspine.api.refusals import ClientGone
from eventspine.api.service import SpineService, Subscription
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import (
    CursorGone,
    Deadlock,
    EventspineError,
    InvalidCursor,
    OwnerError,
    StoreUnavailable,
)
from eventspine.contracts.limits import Limits

log = logging.getLogger("eventspine.api")

ABORT = "eventspine.abort"  # ends a connection without waiting for what it does not take

_RETRY = {"closed": False, "deleted": False}


def event_stream_headers() -> list[Header]:
    return [
        (b"content-type", sse.MEDIA_TYPE),
        (b"cache-control", b"no-cache, no-transform"),
        (b"x-accel-buffering", b"no"),
        (b"vary", b"accept"),
    ]


def will_pass(error: EventspineError) -> bool:
    """Whether a reader that comes back later can be served."""
    return isinstance(error, StoreUnavailable | OwnerError) and not isinstance(error, Deadlock)


def end_frame(reason: str, retry: bool, cursor: str | None, **more: object) -> bytes:
    """`retry` false: do not come back (EventSource comes back by itself unless it is closed)."""
    members = {"reason": reason, "retry": retry, "cursor": cursor, **more}
    return sse.control("end", members, cursor, retry=retry)


def ended_frame(subscription: Subscription, position: str, **more: object) -> bytes:
    reason = subscription.ended or "reset"
    return end_frame(reason, _RETRY.get(reason, True), position, **more)


def gap_frame(gone: EventspineError, next_id: str, requested: str | None, **more: object) -> bytes:
    """The reader goes on after `next`; what lay between is not here any more."""
    members = {"earliest": None, "latest": None, **gone.fields, "requested": requested}
    return sse.control("gap", {**members, "next": next_id, **more}, next_id)


async def subscribed(
    spine: SpineService, stream_id: str, context: RequestContext, after: str | None, resumed: bool
) -> tuple[Subscription, EventspineError | None]:
    """A subscription after the position, or from the start with the reason why."""
    try:
        return await spine.subscribe(stream_id, context, after), None
    except CursorGone as gone:
        reason: EventspineError = gone
    except InvalidCursor as invalid:
        if not resumed:
            raise
        reason = invalid
    return await spine.subscribe(stream_id, context, None), reason


class Patience:
    """Ends the scope of a reader that has taken nothing for too long.

    Every turn of a reader's loop ends with something sent, at the latest a heartbeat. So a loop
    that has not come round for the stall limit and a heartbeat is waiting in `send`.
    """

    def __init__(self, scope: anyio.CancelScope, limits: Limits) -> None:
        self._scope = scope
        self._patience_s = limits.reader_stall_s_max + limits.heartbeat_s
        self._renewed_at = float("-inf")

    def renew(self) -> None:
        now = anyio.current_time()
        if now - self._renewed_at > self._patience_s / 8:
            self._renewed_at = now
            self._scope.deadline = now + self._patience_s


class StreamTail:
    """The answer to a GET of an SSE address of one stream."""

    def __init__(
        self,
        spine: SpineService,
        call: Call,
        stream_id: str,
        context: RequestContext,
        after: str | None,
        resumed: bool,
    ) -> None:
        self._spine, self._call, self._context = spine, call, context
        self._stream_id, self._after, self._resumed = stream_id, after, resumed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if self._resumed and await self._is_over():
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body"})
                return
            subscription, gone = await subscribed(
                self._spine, self._stream_id, self._context, self._after, self._resumed
            )
        except EventspineError as error:
            if not will_pass(error):
                raise
            await send_end_only(send, error, self._after if self._resumed else None)
            return
        try:
            preface = b"" if gone is None else self._gap(gone, subscription)
            reader = _Reader(self._spine, self._call, subscription, send, preface)
            await carry(self._call, receive, reader)
        finally:
            await subscription.aclose()

    async def _is_over(self) -> bool:
        head = await self._spine.head(self._stream_id, self._context)
        return head.closed and str(head.cursor) == self._after

    def _gap(self, gone: EventspineError, subscription: Subscription) -> bytes:
        return gap_frame(gone, str(subscription.cursor), self._after)


class _Reader:
    def __init__(
        self,
        spine: SpineService,
        call: Call,
        subscription: Subscription,
        send: Send,
        preface: bytes,
    ) -> None:
        self._subscription, self._send, self._preface = subscription, send, preface
        self._call, self._settings = call, spine.settings

    async def run(self, scope: anyio.CancelScope) -> None:
        patience = Patience(scope, self._settings.limits)
        patience.renew()
        await start(self._send, self._preface)
        wire = wire_for(self._call, self._settings.http)
        if wire is not None:
            self._subscription.push_into(wire)
        last = await self._slices(patience)
        await self._send({"type": "http.response.body", "body": last})

    async def _slices(self, patience: Patience) -> bytes:
        """Send slices until there are no more; the frame that says why."""
        subscription, send = self._subscription, self._send
        while True:
            try:
                piece = await subscription.next()
            except StopAsyncIteration:
                return ended_frame(subscription, str(subscription.cursor))
            except EventspineError as error:
                return end_frame(error.code, will_pass(error), str(subscription.cursor))
            frames = sse.HEARTBEAT if piece is None else sse.slice_frames(piece)
            patience.renew()
            await send({"type": "http.response.body", "body": frames, "more_body": True})


class Reader(Protocol):
    """What `carry` runs: sends a whole answer inside the scope it is handed."""

    async def run(self, scope: anyio.CancelScope) -> None: ...


async def carry(call: Call, receive: Receive, reader: Reader) -> None:
    """Run the reader while the client is there; throw out one that has stopped taking."""
    stalled = False

    async def work(scope: anyio.CancelScope) -> None:
        nonlocal stalled
        try:
            await reader.run(scope)
        finally:
            stalled = anyio.current_time() >= scope.deadline

    try:
        await while_connected(receive, work)
    except ClientGone:
        if stalled:
            log.info("reader sent away: it took nothing", extra={"request_id": call.request_id})
            await _thrown_out(call, receive)
        else:
            raise


async def _thrown_out(call: Call, receive: Receive) -> None:
    abort = call.extension(ABORT)
    if abort is not None:
        abort()
        with anyio.move_on_after(1.0):
            while (await receive())["type"] != "http.disconnect":
                pass
    raise ClientGone


async def start(send: Send, preface: bytes) -> None:
    """Headers and opening in the first packet, so that `onopen` does not wait for an event."""
    await send({"type": "http.response.start", "status": 200, "headers": event_stream_headers()})
    body = sse.opening() + preface
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def send_end_only(send: Send, error: EventspineError, position: str | None) -> None:
    """A refusal that will pass, said where a browser hears it."""
    usable = position if position and len(position) <= sse.ID_CHARS_MAX else None
    await start(send, b"")
    frame = end_frame(error.code, True, None, detail=public_detail(error), resume=usable)
    await send({"type": "http.response.body", "body": frame})
