"""What stream operations answer: stored lines as they lie, parsed only when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from eventspine.contracts.cursor import Cursor
from eventspine.contracts.event import StreamEvent
from eventspine.contracts.wire import event_id_of

EndReason = Literal["closed", "deleted", "draining", "stalled", "reset"]


class Appended(Struct, frozen=True, gc=False):
    """The stored events of one append, in the order they were sent.

    `lines[i]` is the stored JSON of event i and `sequences[i]` its number; an event that was
    already there is answered as it was stored the first time and counted in `duplicates`.
    """

    lines: Sequence[bytes]
    sequences: Sequence[int]
    head: Cursor
    duplicates: int = 0

    @property
    def cursors(self) -> list[Cursor]:
        return [Cursor(self.head.epoch, sequence) for sequence in self.sequences]

    @property
    def events(self) -> list[StreamEvent]:
        return [StreamEvent.model_validate_json(line) for line in self.lines]

    @property
    def event_id(self) -> str:
        """Id of the last event (FN-01)."""
        return event_id_of(self.lines[-1])


@dataclass(frozen=True, slots=True)
class Head:
    """Where a stream stands. `earliest` is the position before its first event."""

    cursor: Cursor
    earliest: Cursor
    closed: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A run of stored events. Read on with `after=next`, or back with `before=previous`."""

    lines: Sequence[bytes]
    first: int
    next: Cursor
    head: Cursor
    earliest: Cursor
    closed: bool

    @property
    def events(self) -> list[StreamEvent]:
        return [StreamEvent.model_validate_json(line) for line in self.lines]


@dataclass(frozen=True, slots=True)
class Selection:
    """The events of a stream that matched a filter. Read on with `after=next` until it is `head`.

    `read`: how many events were looked at.
    """

    lines: Sequence[bytes]
    next: Cursor
    head: Cursor
    earliest: Cursor
    closed: bool
    read: int

    @property
    def is_complete(self) -> bool:
        """Whether every event that there was has been looked at."""
        return self.next >= self.head

    @property
    def events(self) -> list[StreamEvent]:
        return [StreamEvent.model_validate_json(line) for line in self.lines]


@dataclass(slots=True)
class TailSlice:
    """Stored events `first` … `first + len(lines) - 1` of one stream, shared by all its readers.

    `frames` and `block` are places for its encodings (bare, and as a piece of a chunked HTTP body),
    each made by whoever sends it first.
    """

    epoch: int
    first: int
    lines: Sequence[bytes]
    frames: bytes | None = None
    block: bytes | None = None

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.last)

    @property
    def events(self) -> list[StreamEvent]:
        return [StreamEvent.model_validate_json(line) for line in self.lines]
