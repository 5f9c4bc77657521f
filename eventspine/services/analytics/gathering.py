"""Bringing the events of a question before an engine: segments, and what is in none of them yet.

Rules: events 1 to `through` of one epoch, all of them acknowledged, each once. `through` is where
the stream stood when the question began, or where the segments go if another question has made them
meanwhile: they hold nothing else than what is acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence

from eventspine.actors.host import StreamHost
from eventspine.actors.page import read_lines
from eventspine.actors.stream import StreamActor
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.limits import Limits
from eventspine.contracts.threads import Threads
from eventspine.services.analytics.engine import Engine, open_engine
from eventspine.services.analytics.segments import Segment, Segments

READ_EVENTS = 4096
READ_BYTES = 1024 * 1024
SEGMENT_BYTES = 16 * 1024 * 1024  # lines of one segment, about; more than that are not held at once


class Gathering:
    """The events of one dataset, as of now."""

    def __init__(
        self, host: StreamHost, actor: StreamActor, limits: Limits, threads: Threads
    ) -> None:
        self.epoch = actor.epoch
        self.through = actor.committed
        self._host = host
        self._actor = actor
        self._limits = limits
        self._threads = threads

    @property
    def head(self) -> Cursor:
        return Cursor(self.epoch, self.through)

    async def into(self, engine: Engine | None, segments: Segments) -> list[Segment]:
        """Load into the engine what the segments do not hold; answers the segments.

        What is enough for a segment becomes one. Without an engine that is all there is to do.
        """
        if engine is None and not segments.usable:
            return []
        async with segments.lock:
            used = await segments.known(self.epoch, self._line)
            at = used[-1].last if used else 0
            self.through = max(self.through, at)
            while at < self.through:
                piece, full = await self._piece(at)
                made = await self._aside(at + 1, piece, segments) if full else None
                if made is not None:
                    used.append(made)
                elif engine is not None:
                    await engine.load(piece)
                at += len(piece)
            return used

    async def _piece(self, after: int) -> tuple[list[bytes], bool]:
        """The lines behind an event, until a segment is full of them or there are no more."""
        lines: list[bytes] = []
        size, most = 0, self._limits.analytics_segment_events
        while after + len(lines) < self.through:
            at = after + len(lines)
            count = min(READ_EVENTS, most - len(lines), self.through - at)
            got = await read_lines(self._host, self._actor, at, count, READ_BYTES)
            if not got:
                key = self._actor.key
                raise StoreCorrupt(f"{key}: event {at + 1} is missing", path=key, found="a gap")
            lines += got
            size += sum(map(len, got))
            if len(lines) >= most or size >= SEGMENT_BYTES:
                return lines, True
        return lines, False

    async def _aside(
        self, first: int, lines: Sequence[bytes], segments: Segments
    ) -> Segment | None:
        if not segments.usable:
            return None
        builder = await open_engine(self._limits, self._threads)
        try:
            parquet = await builder.parquet(lines)
        finally:
            await builder.aclose()
        return await segments.add(self.epoch, first, lines, parquet)

    async def _line(self, sequence: int) -> bytes | None:
        lines = await read_lines(self._host, self._actor, sequence - 1, 1)
        return lines[0] if lines else None
