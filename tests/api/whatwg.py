"""An EventSource parser, after WHATWG HTML section 9.2.6, for bytes cut anywhere."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    data: str
    last_event_id: str
    name: str = "message"


class EventParser:
    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._line = ""
        self._after_cr = False
        self._started = False
        self._data: list[str] = []
        self._name = ""
        self._id = ""
        self.last_event_id = ""
        self.retry: int | None = None
        self.comments = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        for char in self._decode(piece):
            if not self._started:
                self._started = True
                if char == "\ufeff":
                    continue
            if self._after_cr and char == "\n":
                self._after_cr = False
                continue
            self._after_cr = char == "\r"
            if char in "\r\n":
                yield from self._end_of_line()
            else:
                self._line += char

    def _end_of_line(self) -> Iterator[Event]:
        line, self._line = self._line, ""
        if not line:
            yield from self._dispatch()
        elif line.startswith(":"):
            self.comments += 1
        else:
            field, _, value = line.partition(":")
            self._field(field, value.removeprefix(" "))

    def _field(self, field: str, value: str) -> None:
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)

    def _dispatch(self) -> Iterator[Event]:
        self.last_event_id = self._id
        data, self._data = self._data, []
        name, self._name = self._name, ""
        if data:
            yield Event("\n".join(data), self._id, name or "message")
