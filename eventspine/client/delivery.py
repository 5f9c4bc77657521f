"""What a live reader has been given, and what may come next. Pure: no network here.

Job: turn the SSE events of one connection after another into each event of the stream once.
Rules: within an epoch the next event is the last one plus one. One that was given already is
dropped (a server may repeat after a reconnect); one further on is a hole and raises, because
going on would hide it. Only the server's own `gap` moves the position without events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from eventspine.client.answers import cursor_of
from eventspine.client.errors import BadAnswer, StreamHole
from eventspine.client.sse_parser import SseEvent
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import InvalidCursor
from eventspine.contracts.event import StreamEvent


@dataclass(frozen=True, slots=True)
class TailEvent:
    """A stored event as it was delivered. `line` is its JSON."""

    cursor: Cursor
    line: bytes

    @property
    def event(self) -> StreamEvent:
        return StreamEvent.model_validate_json(self.line)


@dataclass(frozen=True, slots=True)
class Gap:
    """The position asked for is not in the stream; delivery goes on where the server says."""

    earliest: Cursor | None
    latest: Cursor | None
    requested: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class End:
    """The connection ended for a `reason`: the stream is `closed` or `deleted`, or a passing one.

    A reader of `EventspineClient.tail` only ever sees the final kind.
    """

    reason: str
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether there is nothing to come back for."""
        return self.reason in ("closed", "deleted") or self.fields.get("retry") is False


TailItem = TailEvent | Gap | End


class Delivery:
    """`last` is the position of the last event given out; None until something fixes it."""

    def __init__(self, stream_id: str, last: Cursor | None = None, *, from_start: bool = False):
        self.stream_id = stream_id
        self.last = last
        self.dropped = 0
        self._first_is_one = from_start and last is None

    def take(self, event: SseEvent) -> TailItem | None:
        """The item this SSE event is, or None when it brings nothing new.

        Raises:
            StreamHole: an event is missing before this one.
            BadAnswer: the server sent something that is not a stored event.
        """
        if event.event == "gap":
            return self._gap(self._object(event))
        if event.event == "end":
            fields = self._object(event)
            return End(str(fields.get("reason", "")), fields)
        if event.event != "message":
            return None
        line = event.data.encode()
        try:
            cursor = cursor_of(line)
        except (ValueError, InvalidCursor) as error:
            raise BadAnswer(f"stream {self.stream_id}: {error}") from error
        return TailEvent(cursor, line) if self._is_next(cursor) else None

    def _is_next(self, cursor: Cursor) -> bool:
        last = self.last
        if last is None:
            if self._first_is_one and cursor.sequence != 1:
                raise self._hole(Cursor(cursor.epoch, 1), cursor)
        elif cursor <= last:
            self.dropped += 1
            return False
        elif cursor != (last.epoch, last.sequence + 1):
            raise self._hole(Cursor(last.epoch, last.sequence + 1), cursor)
        self.last = cursor
        return True

    def _hole(self, expected: Cursor, received: Cursor) -> StreamHole:
        return StreamHole(
            f"stream {self.stream_id}: expected {expected}, received {received}",
            stream_id=self.stream_id,
            expected=str(expected),
            received=str(received),
        )

    def _gap(self, fields: dict[str, Any]) -> Gap:
        earliest, latest = _cursor(fields.get("earliest")), _cursor(fields.get("latest"))
        self.last = _cursor(fields.get("next")) or earliest
        self._first_is_one = False
        return Gap(earliest, latest, fields.get("requested"), fields)

    def _object(self, event: SseEvent) -> dict[str, Any]:
        try:
            fields = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            fields = None
        if not isinstance(fields, dict):
            raise BadAnswer(f"stream {self.stream_id}: {event.event} event without an object")
        return fields


def _cursor(text: object) -> Cursor | None:
    return Cursor.parse(text) if isinstance(text, str) and Cursor.looks_like(text) else None
