"""A client that writes: it sends, is answered or not, sends again, closes and deletes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import trio

from eventspine.contracts.answers import Appended
from eventspine.contracts.context import RequestContext
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import (
    DeadlineExceeded,
    Draining,
    EventspineError,
    OutcomeUnknown,
    Overloaded,
    PreconditionFailed,
    StoreFull,
    StoreUnavailable,
    StreamClosed,
    StreamNotFound,
)
from eventspine.contracts.wire import encode_json, event_id_of
from eventspine.services.spine import Spine
from tests.simulation.habits import SILENCE_S, USUAL, Habits
from tests.simulation.ledger import StreamLedger
from tests.simulation.machine import Machine, NoAnswer

CONTEXT = RequestContext(tenant_id="t", env="dev", mode="lab")
NOT_NOW = (DeadlineExceeded, Draining, Overloaded, StoreFull, StoreUnavailable)
TRIES = 12
Sent = dict[str, Any]


class Writer:
    def __init__(
        self,
        name: str,
        machine: Machine,
        streams: Sequence[str],
        seed: int,
        habits: Habits = USUAL,
    ) -> None:
        self.name = name
        self._machine = machine
        self._streams = streams
        self._rng = random.Random(f"{name} {seed}")
        self._habits = habits
        self._patience_s = self._rng.choice(habits.patience_s)
        self._count = 0
        self._kept: list[tuple[str, list[Sent]]] = []  # sent with an id, and acknowledged

    async def run(self, operations: int) -> None:
        deeds: dict[str, tuple[Callable[[StreamLedger], Any], int]] = {
            "append": (self._append, 12),
            "twice at once": (self._append_twice_at_once, 2),
            "side by side": (self._append_side_by_side, 3),
            "without id": (self._append_without_id, 6),
            "expecting": (self._append_expecting, 2),
            "again": (self._send_again, 3),
            "close": (self._close, 1),
            "delete": (self._delete, 2),
        }
        weights = [self._habits.deeds.get(name, often) for name, (_, often) in deeds.items()]
        for _ in range(operations):
            stream = self._machine.ledger[self._rng.choice(self._streams)]
            ((deed, _),) = self._rng.choices(list(deeds.values()), weights)
            await deed(stream)
            if self._rng.random() < self._habits.silences:
                await trio.sleep(SILENCE_S)
            elif self._rng.random() < 0.4:
                await trio.sleep(self._rng.expovariate(1 / self._habits.rest_s))

    # --- deeds ---

    async def _append(self, stream: StreamLedger) -> None:
        events = self._events(stream, self._rng.choice([1, 1, 1, 2, 3, 6]))
        if self._rng.random() < 0.3:
            events.append(self._rng.choice(events))  # twice in one batch
        if await self._deliver(stream, events):
            self._kept.append((stream.stream_id, events))

    async def _append_twice_at_once(self, stream: StreamLedger) -> None:
        events = self._events(stream, 2)
        async with trio.open_nursery() as both:
            both.start_soon(self._deliver, stream, events)
            both.start_soon(self._deliver, stream, events)

    async def _append_side_by_side(self, stream: StreamLedger) -> None:
        """Much and little at once: what has no room and what may still have some."""
        much = self._events(stream, self._rng.randint(3, 6))
        little = self._events(stream, 1, f"{self.name}+")
        async with trio.open_nursery() as both:
            both.start_soon(self._deliver, stream, much)
            await trio.sleep(self._rng.expovariate(2000))
            both.start_soon(self._deliver, stream, little)

    async def _append_without_id(self, stream: StreamLedger) -> None:
        events = [{**event, "event_id": None} for event in self._events(stream, 1)]
        await self._deliver(stream, [{k: v for k, v in event.items() if v} for event in events])

    async def _append_expecting(self, stream: StreamLedger) -> None:
        expected = stream.last_cursor
        if expected is not None:
            await self._deliver(stream, self._events(stream, 1), expected)

    async def _send_again(self, _: StreamLedger) -> None:
        stream_id, events = self._rng.choice(self._kept or [("", [])])
        if events and not self._machine.ledger[stream_id].deletes_begun:
            await self._deliver(self._machine.ledger[stream_id], events)

    async def _close(self, stream: StreamLedger) -> None:
        if not stream.may_be_closed:
            return await self._append(stream)
        begun = stream.begin()
        stream.closes_begun += 1
        try:
            head = await self._machine.call(
                lambda spine: spine.close_stream(stream.stream_id, CONTEXT), self._patience_s
            )
        except (NoAnswer, OutcomeUnknown, StreamNotFound, *NOT_NOW) as error:
            self._tell(f"close {stream.stream_id}: {error!r}")
        else:
            self._tell(f"close {stream.stream_id}: {head.cursor}")
            stream.seen(head.cursor.epoch, begun, "a close")
            stream.closed_at(head.cursor)

    async def _delete(self, stream: StreamLedger) -> None:
        if not stream.may_be_deleted:
            return await self._append(stream)
        stream.deletes_begun += 1
        try:
            await self._machine.call(
                lambda spine: spine.delete_stream(stream.stream_id, CONTEXT), self._patience_s
            )
        except (NoAnswer, OutcomeUnknown, StreamNotFound, *NOT_NOW) as error:
            self._tell(f"delete {stream.stream_id}: {error!r}")
        else:
            self._tell(f"delete {stream.stream_id}: done")
            stream.deletes_acked += 1

    # --- sending ---

    def _events(self, stream: StreamLedger, count: int, client: str | None = None) -> list[Sent]:
        events: list[Sent] = []
        told: list[tuple[str, bytes]] = []
        for _ in range(count):
            tag, more = f"{self.name}.{self._count}", "x" * self._rng.choice(self._habits.bodies)
            self._count += 1
            payload = {"tag": tag, "x": more}
            events.append({"event_id": tag, "event_type": "e", "payload": payload})
            told.append((tag, encode_json(payload)))
        stream.will_send(client or self.name, told)
        return events

    async def _deliver(
        self, stream: StreamLedger, events: list[Sent], expected: Cursor | None = None
    ) -> bool:
        """Until it is answered or refused for good; without ids, not again after no answer."""
        begun, may_repeat, first = stream.begin(), "event_id" in events[0], True
        for _ in range(TRIES):
            try:
                answer = await self._machine.call(
                    lambda spine: self._send(spine, stream.stream_id, events, expected),
                    self._patience_s,
                )
            except (NoAnswer, OutcomeUnknown) as error:
                self._tell(f"append {self._named(events)} to {stream.stream_id}: {error!r}")
                first = False
                if not may_repeat:
                    return False
            except NOT_NOW as error:
                self._tell(f"append {self._named(events)} to {stream.stream_id}: {error!r}")
            except (StreamClosed, PreconditionFailed) as error:
                self._tell(f"append {self._named(events)} to {stream.stream_id}: {error!r}")
                self._refused(stream, expected, error)
                return False
            else:
                self._tell(
                    f"append {self._named(events)} to {stream.stream_id}: {answer.sequences}"
                )
                self._answered(stream, events, answer, expected if first else None)
                stream.acknowledge(answer.lines, answer.sequences, begun)
                stream.head_is(answer.head)
                return True
            await trio.sleep(self._rng.expovariate(20))
        return False

    @staticmethod
    async def _send(
        spine: Spine, stream_id: str, events: list[Sent], expected: Cursor | None
    ) -> Appended:
        """One event alone goes as one, which is the shortest way of those the product has."""
        at = expected and str(expected)
        if len(events) == 1:
            return await spine.append(stream_id, events[0], CONTEXT, expected=at)
        return await spine.append_batch(stream_id, events, CONTEXT, expected=at)

    @staticmethod
    def _answered(
        stream: StreamLedger, events: list[Sent], answer: Appended, expected: Cursor | None
    ) -> None:
        for event, line in zip(events, answer.lines, strict=True):
            if event.get("event_id", event_id_of(line)) != event_id_of(line):
                stream.wrong(f"{event['event_id']} was answered with {line!r}")
        if expected is not None and answer.sequences[0] != expected.sequence + 1:
            stream.wrong(f"expecting {expected}, appended at {answer.sequences}")

    @staticmethod
    def _refused(stream: StreamLedger, expected: Cursor | None, error: EventspineError) -> None:
        if isinstance(error, StreamClosed):
            if not stream.closes_begun:
                stream.wrong(f"nobody closed it, and yet: {error!r}")
        elif expected is None:
            stream.wrong(f"nothing was expected, and yet: {error!r}")

    def _named(self, events: list[Sent]) -> str:
        return " ".join(event["payload"]["tag"] for event in events)

    def _tell(self, what: str) -> None:
        self._machine.trace.add(self.name, what)
