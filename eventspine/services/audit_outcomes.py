"""LostOutcomes: intents that a crash left without an outcome get one, which says what is known.

Job: when an audit stream is written for the first time in the life of a process, note where it
stands; what was intended before, and has no outcome, belongs to a life that is over. A service
reads the stream back from there and fills in what is missing, beside everything else.
Rules:
- What this life intends is never taken for lost: the position is noted before the first append.
- Once: what is filled in has an id of its own; a crash on the way is made good by the next life.
- Of a change of routes the history of the registry knows all; of a stream, whether it is closed or
  gone; of anything else nothing, and the outcome says so.
- A record may be with the system tenant and its outcome not, or the other way round: the newest
  `ELSEWHERE_MAX` records there are looked at too.
- A stream that cannot be read is tried again with back-off, then left for the next life.
Refused: looking through every stream at the start, which costs a listing of all streams.
Source: R-07, R-27; decision 0022.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import anyio
import msgspec
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventspine.contracts.answers import Head, Page
from eventspine.contracts.audit import AUDIT_STREAM, places
from eventspine.contracts.audit_outcome import (
    INTENT,
    UNKNOWN,
    Intent,
    Key,
    Known,
    Unsettled,
    key_of,
    meant_for,
    outcome_of,
    settled,
)
from eventspine.contracts.context import RequestContext, Scope
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import BackendError, EventspineError, OwnerError
from eventspine.runtime.restart import Backoff
from eventspine.services.audit import unaudited
from eventspine.services.audit_queue import Write

log = logging.getLogger(__name__)
PAGE = 500
BATCH = 100
MARK_AFTER = 1000  # records read; a mark spares the next life from reading them again
ELSEWHERE_MAX = 1000
FAILURES_MAX = 8
BACKOFF = Backoff(base_s=0.5, cap_s=30.0)
Find = Callable[[Intent, RequestContext], Awaitable[Known]]


class Streams(Protocol):
    """What it needs of a Spine."""

    async def head(self, stream_id: str, context: RequestContext) -> Head: ...
    async def list_after(
        self,
        stream_id: str,
        after: str | None,
        context: RequestContext,
        *,
        limit: int | None = None,
    ) -> Page: ...


class _Stream:
    """An audit stream, and where it stood before this life wrote to it."""

    def __init__(self, place: RequestContext, head: Cursor) -> None:
        self.place = place
        self.head = head
        self.due_s = -math.inf
        self.failures = 0


class LostOutcomes:
    """Args: write: Audit.write. find: who can tell what became of an action, by its name."""

    def __init__(self, streams: Streams, write: Write, find: Mapping[str, Find]) -> None:
        self._streams = streams
        self._write = write
        self._find = find
        self._used: set[Scope] = set()
        self._noting: dict[Scope, anyio.Event] = {}
        self._waiting: list[_Stream] = []
        self._news = anyio.Event()
        self._rested = anyio.Event()
        self._rng = random.Random()
        self.filled = 0

    async def first_use(self, place: RequestContext) -> None:
        """Before an append to an audit stream. Costs a look into a set, but the first time.

        Raises what reading its head raises.
        """
        scope = place.scope
        while scope not in self._used:
            noting = self._noting.get(scope)
            if noting is not None:
                await noting.wait()
                continue
            noting = self._noting[scope] = anyio.Event()
            try:
                head = (await self._streams.head(AUDIT_STREAM, place)).cursor
                self._used.add(scope)
            finally:
                del self._noting[scope]
                noting.set()
            if head.sequence:
                where = RequestContext(**scope._asdict())
                self._waiting.append(_Stream(where, head))
                self._news.set()

    async def settled(self) -> None:
        """Wait until no stream waits to be looked through that can be read now."""
        while any(one.failures == 0 for one in self._waiting):
            await self._rested.wait()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """A service for the supervisor. Runs until cancelled."""
        task_status.started()
        while True:
            self._news = anyio.Event()
            now = anyio.current_time()
            one = next((one for one in self._waiting if one.due_s <= now), None)
            if one is not None:
                await self._look(one)
                continue
            next_s = min((one.due_s for one in self._waiting), default=math.inf)
            with anyio.CancelScope(deadline=next_s):
                await self._news.wait()

    async def _look(self, one: _Stream) -> None:
        try:
            with unaudited():
                await self._settle(one)
        except EventspineError as error:
            one.failures += 1
            one.due_s = anyio.current_time() + BACKOFF.pause_s(one.failures, self._rng)
            if one.failures >= FAILURES_MAX:
                log.warning("lost outcomes of the audit are left for the next start: %s", error)
                self._waiting.remove(one)
        else:
            self._waiting.remove(one)
        rested, self._rested = self._rested, anyio.Event()
        rested.set()

    async def _settle(self, one: _Stream) -> None:
        found = Unsettled()
        async with aclosing(self._backwards(one.place, one.head)) as events:
            async for sequence, event in events:
                if not found.take(sequence, event):
                    break
        lost = found.lost and await self._without(one, found.lost)
        records = [
            outcome_of(intent, await self._known(intent, one.place), one.place)
            for intent in reversed(lost)
        ]
        if records or found.read >= MARK_AFTER:
            records.append(settled(one.head, len(records), one.place))
        for start in range(0, len(records), BATCH):
            await self._write([one.place], AUDIT_STREAM, records[start : start + BATCH])
        if lost:
            self.filled += len(lost)
            log.warning("%d outcomes that a crash lost are in the audit again", len(lost))

    async def _known(self, intent: Intent, place: RequestContext) -> Known:
        find = self._find.get(intent.action)
        if find is None:
            return UNKNOWN
        try:
            return await find(intent, meant_for(intent, place))
        except (BackendError, OwnerError):
            raise  # asked again
        except EventspineError:  # as without a route
            return UNKNOWN

    # --- reading ---

    async def _backwards(
        self, place: RequestContext, head: Cursor
    ) -> AsyncGenerator[tuple[int, dict[str, Any]], None]:
        """The events of an audit stream, from a position to its beginning."""
        last = head.sequence
        while last > 0:
            lines: list[bytes] = []
            first = max(1, last - PAGE + 1)
            while first + len(lines) <= last:
                got = first + len(lines)
                after = str(Cursor(head.epoch, got - 1))
                limit = last - got + 1
                page = await self._streams.list_after(AUDIT_STREAM, after, place, limit=limit)
                lines += page.lines
            for sequence, line in zip(range(last, first - 1, -1), reversed(lines), strict=True):
                yield sequence, msgspec.json.decode(line)
            last = first - 1

    async def _without(self, one: _Stream, lost: Sequence[Intent]) -> list[Intent]:
        """Those whose outcome is in no other stream it may have been kept in."""
        elsewhere = {
            place.scope: place
            for intent in lost
            for place in places(meant_for(intent, one.place))
            if place.scope != one.place.scope
        }
        ended: set[Key | None] = set()
        for place in elsewhere.values():
            ended |= await self._ended(place)
        return [intent for intent in lost if key_of(intent.payload) not in ended]

    async def _ended(self, place: RequestContext) -> set[Key]:
        """The outcomes among the newest records of a place."""
        found: set[Key] = set()
        where = RequestContext(**place.scope._asdict())
        try:
            head = (await self._streams.head(AUDIT_STREAM, where)).cursor
            async with aclosing(self._backwards(where, head)) as events:
                async for sequence, event in events:
                    key = key_of(event["payload"])
                    if key is not None and event["payload"]["metadata"]["phase"] != INTENT:
                        found.add(key)
                    if sequence <= head.sequence - ELSEWHERE_MAX:
                        break
        except EventspineError:
            pass  # it has no such place
        return found
