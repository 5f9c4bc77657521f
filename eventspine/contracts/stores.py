"""What a backend of event streams promises. Every one passes eventspine.testing.event_stream.

A stream is named by its key, the path `event_stream/{tenant}/{env}/{surface}/{stream_id}` of
injective segments (PATH-01). Events travel as stored lines: one JSON object each, UTF-8, without
the newline. The owner (a StreamActor) has numbered them; a store never reorders or rewrites them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from eventspine.contracts.express import Express


class CommitKind(IntEnum):
    EVENTS = 1
    CLOSE = 2
    DELETE = 3
    BLOB = 4  # no stream: `key` is a blob's folder and name, `lines` are its bytes, in pieces


@dataclass(slots=True)
class StreamCommit:
    """One change of one stream: 1..N events, a close, or a delete; all of it or nothing.

    `epoch` and `first_sequence` are the owner's; for CLOSE and DELETE `first_sequence` is the next
    free one and `lines` is empty. `mode` is the mode the stream was first written in.
    """

    key: str
    mode: str
    epoch: int
    first_sequence: int
    lines: Sequence[bytes]
    kind: CommitKind = CommitKind.EVENTS


@dataclass(frozen=True, slots=True)
class StreamHead:
    """Where a stream stands in the store. `sequence` 0: nothing is in it (any more).

    `mode` is None when the stream was never written.
    """

    epoch: int = 1
    sequence: int = 0
    closed: bool = False
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """Counters of one open store; `details` are the backend's own, flat numbers."""

    commits: int = 0
    events: int = 0
    bytes: int = 0
    details: dict[str, float] = field(default_factory=dict)


class EventIds(ABC):
    """Which sequence may hold an event id. Knows every id that a client chose.

    Held by the owner of the stream while it is active; never wrong by leaving one out.
    """

    @abstractmethod
    def candidates(self, event_id: str) -> Sequence[int]:
        """Sequences that may hold this id, newest first; the caller reads them to be sure."""

    @abstractmethod
    def add(self, event_id: str, sequence: int) -> None:
        """Remember an id the owner has just assigned a sequence to (not yet committed)."""

    @abstractmethod
    def committed(self, sequence: int) -> None:
        """Everything up to `sequence` is durable, so the index may put it away."""

    @abstractmethod
    def close(self) -> None: ...


class EventStreamStore(ABC):
    """Keeps streams of events for ever and in order.

    `commit` is called by one writer at a time, in the order the owners decided; it stores the
    whole batch durably or raises, and after it has raised it is not called again on this object.
    Reads may run at any time beside it and never show what `commit` has not finished.
    """

    express: Express[StreamCommit] | None = None  # a way past `commit`, where the backend has one

    @abstractmethod
    def commit(self, batch: Sequence[StreamCommit]) -> None:
        """Store every commit of the batch durably, in order, all or none. Blocks.

        Raises:
            EventspineError: refused, nothing was written; later batches may work.
            OSError: the outcome is unknown, and this object is spent.
        """

    @abstractmethod
    async def head(self, key: str) -> StreamHead:
        """Where the stream stands, counting everything committed."""

    @abstractmethod
    async def read(self, key: str, first: int, count: int, bytes_max: int) -> Sequence[bytes]:
        """Lines of events `first` … `first + count - 1`, fewer when they would pass `bytes_max`.

        At least one line if there is one; none when `first` is beyond the last event. Equal to a
        list of the lines; they may lie in one piece (contracts/lines.py).
        """

    @abstractmethod
    def read_nowait(
        self, key: str, first: int, count: int, bytes_max: int
    ) -> Sequence[bytes] | None:
        """As `read`, or None when it cannot be answered without waiting for the disk."""

    @abstractmethod
    async def ids(self, key: str) -> EventIds:
        """The event ids of the stream, counting everything committed. The caller closes it."""

    @abstractmethod
    async def keys(self, prefix: str) -> list[str]:
        """Every key below `prefix`, which ends with a slash, that was ever written; in order.

        Counts everything committed before the call, deleted streams too: their epoch is kept.
        """

    @abstractmethod
    def statistics(self) -> StoreStatistics: ...

    @abstractmethod
    def close(self) -> None:
        """Complete what is stored, and let go of it. Blocks. Not called while `commit` runs."""
