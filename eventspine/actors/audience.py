"""The readers of one stream at its head, the tail they share, and the pass that serves them.

Job: when events become durable, bring them to everybody who waits, encoded once, in few wake-ups.
Rules:
- News schedules one pass, and what becomes durable before it runs goes out with it. A reader is
  handed everything from its position to the end: visited late, it is visited once and not twice.
- A reader that waits and has a sink is served on the spot and its task sleeps on. One without a
  sink, or whose sink does not take the slice, is woken and goes on by itself: it reads from the
  tail, or from the store when it is behind. Nobody has a queue here.
- A round visits everybody, in passes of `READERS_A_PASS` readers with the loop running between, so
  that appends are not held up by an audience of thousands. After a round comes a short rest, a part
  of the time the round took: the appends that were waiting get through and share the next round. A
  stream with few readers or few events never notices.
Refused: a wake-up per reader and event. Waking a task, its scope and its `send` cost 13 µs a
delivery; a write from the pass costs a few for everything it carries (docs/PERFORMANCE.md).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from eventspine.contracts.answers import TailSlice
from eventspine.runtime.ticket import Ticket

log = logging.getLogger("eventspine.actors")

TAIL_LINES_MAX = 1024
TAIL_BYTES_MAX = 1024 * 1024
SLICES_KEPT = 4
SLICE_BYTES_MAX = 64 * 1024  # what a reader that stalls holds besides its socket's buffer
READERS_A_PASS = 128  # about a millisecond of writes
REST = 0.25  # of the time a round took
REST_S_MAX = 0.005

Later = Callable[[float, Callable[[], object]], object]  # runtime/ticket.py, later_caller


class Sink(Protocol):
    """Where a waiting reader's events go without waking it."""

    def take(self, piece: TailSlice) -> bool:
        """Take the slice at once, or answer False: wake the reader instead."""
        ...


class Reader:
    """One live reader as its stream sees it: a position, and somebody to wake or a sink."""

    __slots__ = ("sequence", "sink", "ticket")

    def __init__(self, sequence: int = -1) -> None:
        self.sequence = sequence  # of the last event it has; -1: wake it for anything
        self.sink: Sink | None = None
        self.ticket: Ticket[bool] | None = None

    def wake(self, news: bool = True) -> None:
        """Let it run: with news, or (False) because a heartbeat is due."""
        ticket, self.ticket = self.ticket, None
        if ticket is not None and not ticket.done():
            ticket.set_result(news)


class Audience:
    """There is one while a stream has readers; so a stream nobody listens to keeps no tail."""

    __slots__ = (
        "_began_at",
        "_bytes",
        "_end",
        "_epoch",
        "_first",
        "_free_at",
        "_later",
        "_passing",
        "_readers",
        "_round",
        "_round_end",
        "_slices",
        "_tail",
    )

    def __init__(self, epoch: int, later: Later) -> None:
        self._later = later
        self._readers: dict[Reader, None] = {}
        self._round: list[Reader] = []
        self._round_end = 0
        self._passing = False
        self._began_at = self._free_at = 0.0
        self.forget(epoch)

    def __len__(self) -> int:
        return len(self._readers)

    def join(self, reader: Reader) -> None:
        self._readers[reader] = None

    def leave(self, reader: Reader) -> None:
        self._readers.pop(reader, None)

    def wake(self) -> None:
        """Everybody, at once: the stream has ended, or moved elsewhere."""
        for reader in tuple(self._readers):
            reader.wake()

    # --- the shared tail ---

    def forget(self, epoch: int) -> None:
        """Begin again with nothing: another life of the stream."""
        self._epoch = epoch
        self._tail: list[bytes] = []
        self._first = self._bytes = self._end = 0
        self._slices: dict[int, TailSlice] = {}

    def tell(self, lines: Sequence[bytes], first: int) -> None:
        """These lines are durable now, the first of them under the sequence `first`."""
        if self._first + len(self._tail) != first:
            self._tail, self._first, self._bytes = [], first, 0
        self._tail.extend(lines)
        self._bytes += len(lines[0]) if len(lines) == 1 else sum(map(len, lines))
        self._end = first + len(lines) - 1
        if len(self._tail) > 2 * TAIL_LINES_MAX or self._bytes > 2 * TAIL_BYTES_MAX:
            self._trim()
        if not self._passing:
            self._passing = True
            self._begin()

    def _trim(self) -> None:
        """Cut the tail in half when it is twice as long as it should be: each line moves once."""
        tail = self._tail
        drop = max(len(tail) - TAIL_LINES_MAX, 0)
        kept = sum(map(len, tail[drop:]))
        while kept > TAIL_BYTES_MAX and drop < len(tail) - 1:
            kept -= len(tail[drop])
            drop += 1
        del tail[:drop]
        self._first += drop
        self._bytes = kept

    def slice_after(self, sequence: int) -> TailSlice | None:
        """What is durable after `sequence`, from the tail; None when the tail starts later.

        At most `SLICE_BYTES_MAX` and one event. Readers at the same position get the same slice, so
        it is encoded once.
        """
        if sequence + 1 < self._first or sequence >= self._end:
            return None
        known = self._slices.get(sequence)
        if known is None or (known.last != self._end and not self._full(known)):
            known = TailSlice(self._epoch, sequence + 1, self._lines_after(sequence))
            self._slices.pop(sequence, None)
            if len(self._slices) >= SLICES_KEPT:
                del self._slices[next(iter(self._slices))]
            self._slices[sequence] = known
        return known

    def _lines_after(self, sequence: int) -> list[bytes]:
        lines = self._tail[sequence + 1 - self._first :]
        size = 0
        for count, line in enumerate(lines, 1):
            size += len(line)
            if size >= SLICE_BYTES_MAX:
                return lines[:count]
        return lines

    @staticmethod
    def _full(piece: TailSlice) -> bool:
        return sum(map(len, piece.lines)) >= SLICE_BYTES_MAX

    # --- the pass ---

    def _begin(self) -> None:
        """A round: at once, or when the rest after the last one is over."""
        self._later(max(self._free_at - time.monotonic(), 0.0), self._pass)

    def _pass(self) -> None:
        """Serve the next readers of this round; begin another round if there was news meanwhile."""
        if not self._round:
            self._round = list(self._readers)
            self._round.reverse()  # they are taken from the end
            self._round_end, self._began_at = self._end, time.monotonic()
        now = self._round[-READERS_A_PASS:]
        del self._round[-READERS_A_PASS:]
        self._serve(now)
        if self._round:
            self._later(0.0, self._pass)
            return
        over_at = time.monotonic()
        self._free_at = over_at + min((over_at - self._began_at) * REST, REST_S_MAX)
        if self._round_end != self._end:
            self._begin()
        else:
            self._passing = False

    def _serve(self, readers: list[Reader]) -> None:
        for reader in reversed(readers):
            ticket, sink = reader.ticket, reader.sink
            if ticket is None or ticket.done() or reader.sequence >= self._end:
                continue  # it is running by itself, has left, or has everything
            if sink is None or not self._push(reader, sink):
                reader.wake()

    def _push(self, reader: Reader, sink: Sink) -> bool:
        """Whether the sink took everything there is."""
        while reader.sequence < self._end:
            piece = self.slice_after(reader.sequence)
            try:
                if piece is None or not sink.take(piece):
                    return False
            except Exception:
                log.exception("a sink failed; its reader pulls from now on")
                reader.sink = None
                return False
            reader.sequence = piece.last
        return True
