"""An SSE parser: bytes in, events out, by the rules of the WHATWG standard (section 9.2.6).

Job: `feed` takes whatever the network gave, cut anywhere, and returns the events it completed.
Rules: a line ends with CR, LF or CRLF, also when the two are in different chunks; one BOM at the
start is skipped; an id with NUL is ignored; `retry` counts only when it is all ASCII digits; an
event without data is not an event, but its id counts; what is not closed by an empty line is lost.
Refused: decoding before splitting. CR and LF are never part of a longer UTF-8 sequence, so lines
are split as bytes and only what is kept is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"
_ENDS = (b"\n", b"\r")


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One dispatched event. `last_event_id` is what a browser would send back on reconnecting."""

    event: str
    data: str
    last_event_id: str


class SseParser:
    """The state of one connection. Make a new one for each; carry `last_event_id` over."""

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self.comments = 0
        self._pieces: list[bytes] = []  # of the line that has no end yet
        self._after_cr = False
        self._at_start = True
        self._event = ""
        self._data: list[bytes] = []
        self._id = last_event_id

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events completed by these bytes, in order."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        lines = chunk.splitlines()  # on bytes: CR, LF and CRLF, nothing else
        unfinished = None if chunk.endswith(_ENDS) else lines.pop()
        events: list[SseEvent] = []
        for line in lines:
            whole = self._finish(line) if self._pieces or self._at_start else line
            if whole:
                self._take(whole)
            else:
                self._dispatch(events)
        if unfinished is not None:
            self._pieces.append(unfinished)
        return events

    def _finish(self, line: bytes) -> bytes:
        if self._pieces:
            self._pieces.append(line)
            line = b"".join(self._pieces)
            self._pieces.clear()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        return line

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            self._data.append(value)
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"retry":
            if value.isdigit():  # on bytes: ASCII digits only
                self.retry_ms = int(value[:18])
        elif not name:
            self.comments += 1

    def _dispatch(self, events: list[SseEvent]) -> None:
        self.last_event_id = self._id
        if self._data:
            data = b"\n".join(self._data).decode("utf-8", "replace")
            events.append(SseEvent(self._event or "message", data, self._id))
            self._data = []
        self._event = ""
