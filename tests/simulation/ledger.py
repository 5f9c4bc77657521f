"""What is known of the streams of one schedule, over all the lives that deleting gives them.

The judge of each life (epoch) of a stream is tests/torture/history.py. On top of it: a deleted
life never comes back, nobody skips one, and what was closed stays closed where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from eventspine.contracts.cursor import Cursor
from eventspine.contracts.wire import parse_line
from tests.torture.history import History, Mark, ReaderPosition, Row, StreamHistory, digest_of


@dataclass(frozen=True, slots=True)
class Begun:
    """How far things were when an operation began."""

    epoch: int
    closed: frozenset[int]
    marks: dict[int, Mark]
    heads: dict[int, int]


class StreamLedger:
    def __init__(self, stream_id: str, ledger: Ledger) -> None:
        self.stream_id = stream_id
        self.acked: list[tuple[int, int, bytes]] = []  # epoch, sequence, body
        self.deletes_begun = self.deletes_acked = self.closes_begun = 0
        self.closed: dict[int, int] = {}
        self.last_cursor: Cursor | None = None
        self.acked_through: dict[int, int] = {}
        self._heads: dict[int, int] = {}
        self._ledger = ledger
        self._sent: list[tuple[str, str, bytes]] = []
        self._lives: dict[int, StreamHistory] = {}
        self._epoch = 1

    @property
    def may_be_closed(self) -> bool:
        return self.stream_id[0] in "cd"

    @property
    def may_be_deleted(self) -> bool:
        return self.stream_id[0] == "d"

    def life(self, epoch: int) -> StreamHistory:
        known = self._lives.get(epoch)
        if known is None:
            known = self._lives[epoch] = self._ledger.history[f"{self.stream_id} (life {epoch})"]
            for client, tag, digest in self._sent:
                known.will_send(client, [(tag, digest)])
        return known

    @property
    def epoch(self) -> int:
        """The newest life that is known to have begun."""
        return max(self._epoch, self.deletes_acked + 1)

    def will_send(self, client: str, events: Iterable[tuple[str, bytes]]) -> None:
        for tag, payload in events:
            digest = digest_of("e", payload)
            self._sent.append((client, tag, digest))
            for life in self._lives.values():
                life.will_send(client, [(tag, digest)])

    def begin(self) -> Begun:
        """Take it before an operation; what its answer must not fall behind."""
        marks = {epoch: life.mark() for epoch, life in self._lives.items()}
        return Begun(self.epoch, frozenset(self.closed), marks, dict(self._heads))

    def seen(self, epoch: int, begun: Begun, what: str, closed: bool | None = None) -> None:
        """An answer spoke of this life."""
        if epoch < begun.epoch:
            self.wrong(f"{what} is of life {epoch}, after life {begun.epoch} had begun")
        if epoch - 1 > self.deletes_begun:
            self.wrong(f"{what} is of life {epoch}, and {self.deletes_begun} deletes were asked")
        self._epoch = max(self._epoch, epoch)
        if closed is False and epoch in begun.closed:
            self.wrong(f"{what} says that life {epoch} is open, which was closed before")
        if closed:
            self.closed.setdefault(epoch, -1)

    def head_is(self, head: Cursor) -> None:
        """An answer said how many events there are: from then on there are."""
        self._heads[head.epoch] = max(head.sequence, self._heads.get(head.epoch, 0))

    def closed_at(self, cursor: Cursor) -> None:
        """A close was acknowledged: nothing comes behind it."""
        if self.closed.get(cursor.epoch, -1) not in (-1, cursor.sequence):
            self.wrong(f"closed at {cursor} and elsewhere")
        self.closed[cursor.epoch] = cursor.sequence

    def acknowledge(self, lines: Sequence[bytes], sequences: Sequence[int], begun: Begun) -> None:
        for line, sequence in zip(lines, sequences, strict=True):
            row, epoch = row_of(line)
            if row.sequence != sequence:
                self.wrong(f"answered {sequence} with a line that says {row.sequence}")
            self.seen(epoch, begun, f"the acknowledgement of {row.event_id}")
            self.life(epoch).acknowledge(row.event_id, sequence)
            self.acked.append((epoch, sequence, line))
            self.last_cursor = Cursor(epoch, sequence)
            self.acked_through[epoch] = max(sequence, self.acked_through.get(epoch, 0))

    def read_all(self, epoch: int, rows: Sequence[Row], begun: Begun, who: str) -> None:
        self.life(epoch).read_all(rows, begun.marks.get(epoch, Mark(0, 0)), who)
        if len(rows) < begun.heads.get(epoch, 0):
            self.wrong(f"{len(rows)} events in life {epoch}, and {begun.heads[epoch]} were told of")
        end = self.closed.get(epoch, -1)
        if end >= 0 and len(rows) > end:
            self.wrong(f"{len(rows)} events in life {epoch}, which was closed at {end}")

    def read_one(self, epoch: int, line: bytes, reader: ReaderPosition, who: str) -> None:
        row, its_epoch = row_of(line)
        if its_epoch != epoch:
            self.wrong(f"{who} got an event of life {its_epoch} in life {epoch}")
        self.life(epoch).read_one(row, reader, who)

    def wrong(self, what: str) -> None:
        self._ledger.wrong(f"{self.stream_id}: {what}")


class Ledger:
    """Of all streams, and whatever else was wrong."""

    def __init__(self) -> None:
        self.history = History()
        self.streams: dict[str, StreamLedger] = {}
        self._others: list[str] = []

    def __getitem__(self, stream_id: str) -> StreamLedger:
        if stream_id not in self.streams:
            self.streams[stream_id] = StreamLedger(stream_id, self)
        return self.streams[stream_id]

    def wrong(self, what: str) -> None:
        self._others.append(what)

    @property
    def verdict(self) -> str:
        """All that is wrong, or nothing."""
        return "\n".join([*self._others, *filter(None, [self.history.verdict()])])


@lru_cache(4096)
def row_of(line: bytes) -> tuple[Row, int]:
    """A stored line as the judge wants it, and its epoch. The tag in the body is its identity."""
    parts = parse_line(line)
    payload = bytes(parts.payload)
    tag = payload.split(b'"', 4)[3].decode()
    return Row(parts.sequence, tag, digest_of("e", payload)), Cursor.parse(parts.cursor).epoch
