"""A live reader: history after a cursor, then the tail, without a gap and without a double.

Pull by cursor (DESIGN decision 9): a subscription holds a position and no queue. It wakes up, takes
what is durable after its position, from the stream's shared tail or from the store when it is
behind, and moves on. A reader that stands still costs a position. One that waits at the end and has
a sink is moved on by the stream's Audience instead, and sleeps. Readers that are behind take turns,
a few slices in one pass of the loop: a thousand that come back at once, or whose connections are
gone while they have much to take, delay nobody. When the backend is opened anew, or the stream
moves to another one, it finds the new owner of its stream and goes on where it was.
"""

from __future__ import annotations

import random
from types import TracebackType

import anyio

from eventspine.actors.audience import Reader, Sink
from eventspine.actors.page import read_lines
from eventspine.actors.stream import StreamActor, check_mode
from eventspine.actors.view import HostView
from eventspine.contracts.answers import EndReason, TailSlice
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import CursorGone, Draining, StoreUnavailable

HISTORY_EVENTS = 512
HISTORY_BYTES = 8 * 1024  # held by a reader that stands still; larger made nothing faster
REOPEN_WAIT_S = (0.2, 1.0)


class Subscription:
    """`async with`, then `await next()` again and again, or `async for`.

    `ended` says why it ended: closed (complete), deleted, draining (connect again).
    """

    def __init__(self, host: HostView, actor: StreamActor, mode: str, sequence: int) -> None:
        self.ended: EndReason | None = None
        self._host = host
        self._actor = actor
        self._mode = mode
        self._epoch = actor.epoch
        self._reader = Reader(sequence)
        self._behind = sequence < actor.committed
        actor.join(self._reader, host.later)
        host.readers.add(self._reader)

    @property
    def cursor(self) -> Cursor:
        """The position of the last event delivered."""
        return Cursor(self._epoch, self._reader.sequence)

    def push_into(self, sink: Sink) -> None:
        """Hand what is new to `sink` while `next` waits, instead of waking it.

        `next` answers when the sink refuses a slice, when a heartbeat is due and at the end, and
        goes on after whatever the sink has taken.
        """
        self._reader.sink = sink

    async def next(self) -> TailSlice | None:
        """The next events, or None when a heartbeat is due.

        Raises:
            StopAsyncIteration: it has ended; `ended` says why.
        """
        while self.ended is None:
            if self._behind:
                self._behind = False
                await self._host.catching_up.pass_one_by_one()
            actor = self._actor
            moved = self._host.successor(actor.key, self._mode) is not self._host
            if (moved or actor.gone is not None) and not await self._find_successor():
                return None
            actor = self._actor
            if self._has_ended(actor):
                break
            if self._reader.sequence < actor.committed:
                try:
                    return await self._take(actor)
                except CursorGone:
                    continue  # deleted while its history was read
                except StoreUnavailable:
                    await anyio.sleep(random.uniform(*REOPEN_WAIT_S))
                    return None
            self._reader.ticket = self._host.new_ticket()
            if not await self._reader.ticket:
                return None
        raise StopAsyncIteration

    def _has_ended(self, actor: StreamActor) -> bool:
        if self._host.draining:
            self.ended = "draining"
        elif actor.epoch != self._epoch:
            self.ended = "deleted"
        elif actor.closed and self._reader.sequence >= actor.committed:
            self.ended = "closed"
        return self.ended is not None

    async def _take(self, actor: StreamActor) -> TailSlice | None:
        reader, audience = self._reader, actor.audience
        piece = None if audience is None else audience.slice_after(reader.sequence)
        if piece is None:
            lines = await read_lines(
                self._host, actor, reader.sequence, HISTORY_EVENTS, HISTORY_BYTES
            )
            if not lines:
                return None  # its end is committed, and about to be told
            piece = TailSlice(self._epoch, reader.sequence + 1, lines)
        reader.sequence = piece.last
        self._behind = piece.last < actor.committed
        return piece

    async def _find_successor(self) -> bool:
        """Join the stream's new owner: the backend failed, or has another. False: not up yet."""
        self._actor.leave(self._reader)
        host = self._host.successor(self._actor.key, self._mode)
        if host is not self._host:
            self._host.readers.discard(self._reader)
            host.readers.add(self._reader)
            self._host = host
        if self._host.draining:
            return True
        try:
            actor = await self._host.actor(self._actor.key)
            check_mode(actor, self._mode)
        except (StoreUnavailable, Draining):
            await anyio.sleep(random.uniform(*REOPEN_WAIT_S))
            return False
        actor.join(self._reader, self._host.later)
        self._actor = actor
        return True

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """Leave the stream. Idempotent."""
        self._host.readers.discard(self._reader)
        self._actor.leave(self._reader)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> TailSlice:
        while True:
            piece = await self.next()
            if piece is not None:
                return piece

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
