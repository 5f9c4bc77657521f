"""What clients were told and what readers saw, and whether the two can both be true. Pure.

Job: keep, per stream, every event a client meant to send, every acknowledgement in the order it
came, and every reading; say at once what contradicts.
Rules, after jepsen.tests.kafka:
- An acknowledged event is in every complete reading that began after the acknowledgement. A
  reading that began before it may or may not have it, so `mark` is taken before reading; a
  checker that looks at the acknowledgements afterwards reports losses that are none. The same
  holds for what other readers have seen.
- An event whose outcome nobody knows may be there or not, once, and then it stays.
- Sequences are dense from 1, and a sequence holds the same event for everybody, for ever.
- The events of one client are in the order in which it sent them.
- A body is what was sent: the same JSON (over SSE, U+2028 may arrive as its escape).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

import orjson


class Kind(StrEnum):
    """What can be wrong."""

    LOST = "an acknowledged event is missing"
    VANISHED = "an event somebody has read is missing"
    DOUBLED = "an event stands twice"
    GAP = "sequences are not dense"
    REORDERED = "one client's events changed places"
    UNKNOWN = "an event that nobody sent"
    ALTERED = "another body than was sent"
    RENUMBERED = "one event was given two sequences"
    CONTRADICTED = "one sequence was shown with two events"


class Row(NamedTuple):
    """One event as it was read."""

    sequence: int
    event_id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Violation:
    kind: Kind
    stream_id: str
    detail: str

    def __str__(self) -> str:
        return f"{self.stream_id}: {self.kind}: {self.detail}"


class Mark(NamedTuple):
    """How far things were when a reading began: acknowledgements, and the highest sequence read."""

    acknowledged: int
    read: int


class _Sent(NamedTuple):
    client: str
    order: int
    digest: bytes


def digest_of(event_type: str, payload: bytes) -> bytes:
    """What stands for a body, however its JSON is written."""
    same = orjson.dumps(orjson.loads(payload))
    return blake2b(event_type.encode() + b"\0" + same, digest_size=8).digest()


class StreamHistory:
    """All that is known of one stream."""

    def __init__(self, stream_id: str, violations: list[Violation]) -> None:
        self.stream_id = stream_id
        self.acknowledged: list[tuple[str, int]] = []
        self._violations = violations
        self._sent: dict[str, _Sent] = {}
        self._orders: Counter[str] = Counter()
        self._event_at: dict[int, str] = {}
        self._sequence_of: dict[str, int] = {}
        self._read_last = 0

    # --- what clients did ---

    def will_send(self, client: str, events: Iterable[tuple[str, bytes]]) -> None:
        """A client is about to send these (event id, digest), in this order; never told twice."""
        for event_id, digest in events:
            self._sent[event_id] = _Sent(client, self._orders[client], digest)
            self._orders[client] += 1

    def acknowledge(self, event_id: str, sequence: int) -> None:
        """A client was told that its event is stored at `sequence`; also for one sent again."""
        if event_id not in self._sent:
            self._found(Kind.UNKNOWN, f"{event_id} was acknowledged")
        self._place(sequence, event_id, "an acknowledgement")
        self.acknowledged.append((event_id, sequence))

    # --- what readers saw ---

    def mark(self) -> Mark:
        """Take it before a reading; everything acknowledged or read so far has to be in that."""
        return Mark(len(self.acknowledged), self._read_last)

    def read_all(self, rows: Sequence[Row], mark: Mark, who: str) -> None:
        """A reading from the start to the head, begun after `mark`."""
        cursor = ReaderPosition()
        for row in rows:
            self.read_one(row, cursor, who)
        present = {row.event_id for row in rows}
        for event_id, sequence in self.acknowledged[: mark.acknowledged]:
            if event_id not in present:
                self._found(Kind.LOST, f"{event_id}, acknowledged at {sequence}, to {who}")
        last = rows[-1].sequence if rows else 0
        if last < mark.read:
            self._found(Kind.VANISHED, f"{last} events to {who}; {mark.read} were read before")
        self._read_last = max(self._read_last, last)

    def read_one(self, row: Row, reader: ReaderPosition, who: str) -> None:
        """The next event of a reader that goes on where it stopped."""
        if row.sequence <= reader.last:
            self._found(Kind.DOUBLED, f"{who} got {row.sequence} after {reader.last}")
            return
        if row.sequence != reader.last + 1:
            self._found(Kind.GAP, f"{who} got {row.sequence} after {reader.last}")
        reader.last = row.sequence
        if row.event_id in reader.ids:
            self._found(Kind.DOUBLED, f"{who} got {row.event_id} again at {row.sequence}")
        reader.ids.add(row.event_id)
        self._check(row, reader, who)
        self._place(row.sequence, row.event_id, who)
        self._read_last = max(self._read_last, row.sequence)

    def _check(self, row: Row, reader: ReaderPosition, who: str) -> None:
        sent = self._sent.get(row.event_id)
        if sent is None:
            self._found(Kind.UNKNOWN, f"{who} got {row.event_id} at {row.sequence}")
            return
        if sent.digest != row.digest:
            self._found(Kind.ALTERED, f"{who} got {row.event_id} at {row.sequence}")
        if sent.order < reader.orders[sent.client]:
            self._found(Kind.REORDERED, f"{who} got {row.event_id} of {sent.client} too late")
        reader.orders[sent.client] = max(reader.orders[sent.client], sent.order + 1)

    def _place(self, sequence: int, event_id: str, who: str) -> None:
        before = self._sequence_of.setdefault(event_id, sequence)
        if before != sequence:
            self._found(Kind.RENUMBERED, f"{event_id} at {before}, then {sequence} by {who}")
        held = self._event_at.setdefault(sequence, event_id)
        if held != event_id:
            self._found(Kind.CONTRADICTED, f"{sequence} is {held}, then {event_id} by {who}")

    def _found(self, kind: Kind, detail: str) -> None:
        self._violations.append(Violation(kind, self.stream_id, detail))

    @property
    def sent_count(self) -> int:
        return len(self._sent)

    @property
    def read_last(self) -> int:
        """The highest sequence anybody has read."""
        return self._read_last


class ReaderPosition:
    """Where one reader stands, across all its connections."""

    __slots__ = ("ids", "last", "orders")

    def __init__(self) -> None:
        self.last = 0
        self.ids: set[str] = set()
        self.orders: Counter[str] = Counter()


class History:
    """Of all streams; `violations` is empty as long as every promise holds."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.streams: dict[str, StreamHistory] = {}

    def __getitem__(self, stream_id: str) -> StreamHistory:
        known = self.streams.get(stream_id)
        if known is None:
            known = self.streams[stream_id] = StreamHistory(stream_id, self.violations)
        return known

    @property
    def acknowledged(self) -> int:
        """Events acknowledged, each counted once."""
        return sum(len(set(stream.acknowledged)) for stream in self.streams.values())

    def verdict(self, shown_max: int = 20) -> str:
        """The violations as text, or nothing."""
        shown = [str(violation) for violation in self.violations[:shown_max]]
        if len(self.violations) > shown_max:
            shown.append(f"… and {len(self.violations) - shown_max} more")
        return "\n".join(shown)
