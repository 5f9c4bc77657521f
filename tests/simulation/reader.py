"""Clients that read: whole streams by pages, backwards, from an event id; and live."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import count

import trio

from eventspine.actors.subscription import Subscription
from eventspine.contracts.answers import Page
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import CursorGone, Draining, OutcomeUnknown, StoreCorrupt
from eventspine.contracts.wire import event_id_of
from eventspine.services.spine import Spine
from tests.simulation.habits import PROMPT_S
from tests.simulation.ledger import Begun, StreamLedger, row_of
from tests.simulation.machine import Machine, NoAnswer
from tests.simulation.writer import CONTEXT, NOT_NOW
from tests.torture.history import ReaderPosition, Row

NOTHING = (NoAnswer, OutcomeUnknown, Draining, *NOT_NOW)


class PageReader:
    def __init__(self, name: str, machine: Machine, streams: Sequence[str], seed: int) -> None:
        self.name = name
        self._machine = machine
        self._streams = streams
        self._rng = random.Random(f"{name} {seed}")

    async def run(self) -> None:
        for times in count():
            stream = self._machine.ledger[self._rng.choice(self._streams)]
            deed = self._rng.choice([self.read_all, self.read_all, self._from_id, self._backwards])
            answered = await deed(stream)
            rest_s = self._rng.expovariate(40 if answered else 8)
            await trio.sleep(rest_s * (1 + times / 20))  # a long wait is not for reading it all day

    async def read_all(self, stream: StreamLedger, patience_s: float = 5.0) -> bool:
        """Every page from the start to the head. False: not to its end."""
        begun, rows, after, epoch = stream.begin(), list[Row](), None, 0
        limit = self._rng.choice([1, 3, 100])
        while True:
            try:
                page = await self._page(stream, after, limit, patience_s)
            except NOTHING:
                return False
            except StoreCorrupt:
                if self._machine.rotten:
                    return True  # refused, as it should be
                raise
            except CursorGone as error:
                self._gone(stream, Cursor(epoch, len(rows)), error)
                return False
            self._check(stream, page, begun)
            if epoch not in (0, page.head.epoch):
                stream.wrong(f"a page of life {page.head.epoch} follows one of life {epoch}")
                return False
            epoch, after = page.head.epoch, str(page.next)
            rows += [row_of(line)[0] for line in page.lines]
            if page.next == page.head:
                break
            if not page.lines:
                stream.wrong(f"nothing comes after {page.next}, and the head is {page.head}")
                break
        self._tell(f"read {stream.stream_id}: life {epoch}, {len(rows)} events")
        stream.read_all(epoch, rows, begun, self.name)
        return True

    async def _page(
        self, stream: StreamLedger, after: str | None, limit: int, patience_s: float
    ) -> Page:
        wait_s = self._rng.choice([0.0, 0.0, 0.01])

        async def ask(spine: Spine) -> Page:
            return await spine.list_after(
                stream.stream_id, after, CONTEXT, limit=limit, wait_s=wait_s
            )

        return await self._machine.call(ask, patience_s)

    def _check(self, stream: StreamLedger, page: Page, begun: Begun) -> None:
        epoch = page.head.epoch
        stream.seen(epoch, begun, f"a page to {self.name}", page.closed)
        stream.head_is(page.head)
        for n, line in enumerate(page.lines, page.first):
            row, its_epoch = row_of(line)
            if (its_epoch, row.sequence) != (epoch, n):
                stream.wrong(f"event {n} of life {epoch} says {its_epoch}, {row.sequence}")

    def _gone(self, stream: StreamLedger, at: Cursor, error: CursorGone) -> None:
        """A position once answered is gone only with its life."""
        if Cursor.parse(str(error.fields["latest"])).epoch <= at.epoch:
            stream.wrong(f"{at} is no position for {self.name} any more: {error.fields}")

    async def _from_id(self, stream: StreamLedger) -> bool:
        if not stream.acked:
            return False
        epoch, sequence, line = self._rng.choice(stream.acked)
        begun = stream.begin()
        try:
            page = await self._page(stream, event_id_of(line), 2, 5.0)
        except NOTHING:
            return False
        except CursorGone as error:
            self._gone(stream, Cursor(epoch, sequence), error)
            return True
        self._check(stream, page, begun)
        known = [at for its, at, other in stream.acked if (its, other) == (page.head.epoch, line)]
        if epoch == page.head.epoch and page.first not in (sequence + 1, *(n + 1 for n in known)):
            stream.wrong(f"behind {line!r} comes {page.first}, not {sequence + 1}")
        return True

    async def _backwards(self, stream: StreamLedger) -> bool:
        begun = stream.begin()
        try:
            page = await self._machine.call(
                lambda spine: spine.list_after(
                    stream.stream_id, None, CONTEXT, before="latest", limit=3
                ),
                5.0,
            )
        except NOTHING:
            return False
        except CursorGone as error:
            self._gone(stream, Cursor(begun.epoch, 0), error)
            return True
        self._check(stream, page, begun)
        return True

    def _tell(self, what: str) -> None:
        self._machine.trace.add(self.name, what)


class Listener:
    """Follows one stream live, over restarts, from where it was.

    What is acknowledged it gets soon: a reader that was passed over would wait for the next event,
    and miss nothing that a later reading could tell.
    """

    def __init__(self, name: str, machine: Machine, stream: StreamLedger) -> None:
        self.name = name
        self._machine = machine
        self._stream = stream
        self._epoch = 0
        self._position = ReaderPosition()
        self._listening: Subscription | None = None

    async def run(self) -> None:
        async with trio.open_nursery() as both:
            both.start_soon(self._watch)
            both.start_soon(self._follow)

    async def _watch(self) -> None:
        """While nothing fails, what was acknowledged arrives within PROMPT_S."""
        while True:
            listening, epoch = self._listening, self._epoch
            due = self._stream.acked_through.get(epoch, 0) if self._machine.is_calm else 0
            await trio.sleep(PROMPT_S)
            if listening is self._listening is not None and self._position.last < due:
                told = self._position.last
                late = f"{due} of life {epoch} was acknowledged {PROMPT_S} s ago"
                self._stream.wrong(f"{self.name} stands at {told}, and {late}")

    async def _follow(self) -> None:
        while True:
            try:
                await self._machine.call(self._listen, 1e9)
            except NOTHING:
                pass
            except CursorGone as error:
                if Cursor.parse(str(error.fields["latest"])).epoch <= self._epoch:
                    self._stream.wrong(f"{self.name} cannot go on: {error.fields}")
                self._start_again()
            await trio.sleep(0.02)

    def _start_again(self) -> None:
        self._epoch, self._position = 0, ReaderPosition()

    async def _listen(self, spine: Spine) -> None:
        begun = self._stream.begin()
        after = str(Cursor(self._epoch, self._position.last)) if self._epoch else None
        async with await spine.subscribe(self._stream.stream_id, CONTEXT, after) as events:
            epoch = events.cursor.epoch
            self._stream.seen(epoch, begun, f"{self.name}'s subscription")
            if epoch != self._epoch and self._epoch:
                self._stream.wrong(f"{self.name} was let on from life {self._epoch} in {epoch}")
            self._epoch, self._listening = epoch, events
            try:
                await self._take(events)
            finally:
                self._listening = None

    async def _take(self, events: Subscription) -> None:
        try:
            while True:
                piece = await events.next()
                if piece is None:
                    await trio.sleep(0.001)
                    continue
                self._machine.trace.add(self.name, f"{piece.cursor} of {self._stream.stream_id}")
                for line in piece.lines:
                    self._stream.read_one(piece.epoch, line, self._position, self.name)
        except StopAsyncIteration:
            self._ended(events)
            await trio.sleep(0.05)

    def _ended(self, events: Subscription) -> None:
        stream, at = self._stream, self._position.last
        self._machine.trace.add(self.name, f"{stream.stream_id}: {events.ended} at {at}")
        if events.ended == "closed":
            stream.seen(self._epoch, stream.begin(), self.name, closed=True)
            missing = stream.life(self._epoch).mark().acknowledged and at < max(
                sequence for _, sequence in stream.life(self._epoch).acknowledged
            )
            if missing:
                stream.wrong(f"{self.name} was told that it is complete at {at}")
        elif events.ended == "deleted":
            if not stream.deletes_begun:
                stream.wrong(f"{self.name} was told that it is deleted")
            self._start_again()
