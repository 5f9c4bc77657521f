"""Proves that the streams on the server are the recordings, read by pages and again over SSE.

Proof per stream and way of reading: as many events as were recorded, sequences 1 … n without a
hole, ids, types and payloads the recorded ones in order, and a canvas applied gives `endContent`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any, Literal

import anyio
import anyio.to_thread
import msgspec
import orjson
from msgspec import Raw, Struct

from eventspine.client.client import EventspineClient
from eventspine.client.delivery import End, Gap
from eventspine.client.replay.canvas import Canvas, PatchOutOfRange
from eventspine.client.replay.dataset import read_source
from eventspine.client.replay.ledger import OnFound, OnProgress, nobody, nobody_asked
from eventspine.client.replay.recording import Recording, Source

Way = Literal["pages", "sse"]
WAYS: tuple[Way, ...] = ("pages", "sse")
_PAGE_EVENTS = 5000


class _Stored(Struct):
    sequence: int
    event_id: str
    event_type: str
    payload: Raw


_stored = msgspec.json.Decoder(_Stored)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`difference` is None when the stream is exactly the recording."""

    stream_id: str
    kind: str
    way: Way
    events: int
    seconds: float
    canvas: str | None = None  # "equal", or None for a stream that is no canvas
    difference: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Comparison:
    """One stream as it is read back, compared event by event. Pure."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.count = 0
        self._canvas = Canvas() if recording.kind == "canvas" else None

    def take(self, line: bytes) -> str | None:
        """Compare the next stored event; what differs, or None."""
        stored = _stored.decode(line)
        index = self.count
        self.count += 1
        if stored.sequence != index + 1:
            return f"event {index + 1}: its sequence is {stored.sequence}"
        if index >= len(self.recording.events):
            return f"event {index + 1}: the recording has {index} events"
        return self._compare(index, stored)

    def _compare(self, index: int, stored: _Stored) -> str | None:
        recorded = self.recording.events[index]
        payload = bytes(stored.payload)
        if stored.event_id != self.recording.event_id(index):
            return (
                f"event {index + 1}: its id is {stored.event_id},"
                f" not {self.recording.event_id(index)}"
            )
        if stored.event_type != recorded.event_type:
            return f"event {index + 1}: {stored.event_type} instead of {recorded.event_type}"
        if payload != recorded.payload and orjson.loads(payload) != orjson.loads(recorded.payload):
            return f"event {index + 1}: {first_difference(recorded.payload, payload)}"
        if self._canvas is None:
            return None
        try:
            self._canvas.apply_event(stored.event_type, payload)
        except PatchOutOfRange as error:
            return f"event {index + 1}: {error}"
        return None

    def finish(self) -> str | None:
        """What is missing at the end, or None."""
        expected = len(self.recording.events)
        if self.count < expected:
            return f"{self.count} events instead of {expected}"
        end = self.recording.end_content
        if self._canvas is not None and end is not None and self._canvas.text != end:
            return "the canvas is not endContent: " + first_difference(
                end.encode(), self._canvas.text.encode()
            )
        return None

    @property
    def canvas_word(self) -> str | None:
        if self._canvas is None:
            return None
        return "equal" if self.recording.end_content is not None else "cut short"


def first_difference(expected: bytes, found: bytes) -> str:
    """Where two texts part, with some of both around it."""
    limit = min(len(expected), len(found))
    at = next((n for n in range(limit) if expected[n] != found[n]), limit)
    around = slice(max(0, at - 20), at + 20)
    return f"at byte {at}: expected {expected[around]!r}, found {found[around]!r}"


class Verifier:
    """Reads streams back, `readers` at once, each by pages and over SSE."""

    def __init__(
        self,
        client: EventspineClient,
        *,
        prefix: str = "",
        events_max: int | None = None,
        readers: int = 4,
        on_progress: OnProgress = nobody,
        on_found: OnFound = nobody_asked,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._events_max = events_max
        self._readers = readers
        self._on_progress = on_progress
        self._on_found = on_found

    async def verify(self, sources: Sequence[Source]) -> list[Verdict]:
        """A verdict for every stream and way, in the order of `sources`."""
        verdicts: dict[str, list[Verdict]] = {}
        waiting = list(reversed(sources))

        async def work() -> None:
            while waiting:
                source = waiting.pop()
                verdicts[source.name] = await self._verify_source(source)

        async with anyio.create_task_group() as group:
            for _ in range(min(self._readers, len(sources))):
                group.start_soon(work)
        return [verdict for source in sources for verdict in verdicts[source.name]]

    async def _verify_source(self, source: Source) -> list[Verdict]:
        recording = await anyio.to_thread.run_sync(read_source, source, self._prefix)
        recording = recording.first(self._events_max)
        self._on_found(len(recording.events))
        return [await self.verify_recording(recording, way) for way in WAYS]

    async def verify_recording(self, recording: Recording, way: Way) -> Verdict:
        """Read one stream one way, and compare."""
        started = anyio.current_time()
        comparison = Comparison(recording)
        lines = self._pages(recording) if way == "pages" else self._sse(recording)
        difference = None
        async with aclosing(lines):
            async for piece in lines:
                difference = _first(comparison, piece)
                self._on_progress(recording.stream_id, len(piece))
                if difference is not None:
                    break
        difference = difference or comparison.finish()
        seconds = round(anyio.current_time() - started, 3)
        word = None if difference else comparison.canvas_word
        return Verdict(
            recording.stream_id, recording.kind, way, comparison.count, seconds, word, difference
        )

    async def _pages(self, recording: Recording) -> AsyncGenerator[list[bytes], None]:
        async with aclosing(self._client.pages(recording.stream_id, limit=_PAGE_EVENTS)) as pages:
            async for page in pages:
                yield list(page.lines)

    async def _sse(self, recording: Recording) -> AsyncGenerator[list[bytes], None]:
        """The events up to the head as it is now; a live stream has no end of its own."""
        head = (await self._client.head(recording.stream_id)).cursor
        if head.sequence == 0:
            return
        piece: list[bytes] = []
        async with aclosing(self._client.tail(recording.stream_id)) as items:
            async for item in items:
                if isinstance(item, Gap | End):
                    break
                piece.append(item.line)
                if item.cursor >= head or len(piece) >= 500:
                    yield piece
                    piece = []
                    if item.cursor >= head:
                        return
        yield piece


def _first(comparison: Comparison, lines: Sequence[bytes]) -> str | None:
    for line in lines:
        difference = comparison.take(line)
        if difference is not None:
            return difference
    return None
