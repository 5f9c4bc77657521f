"""A position in a stream: `{epoch:016d}_{sequence:016d}`, opaque to clients, sortable as text.

The sequence is dense and starts at 1; sequence 0 is the position before the first event.
The epoch starts at 1 and grows when a deleted stream is written again, so that a cursor of the
old stream can never point into the new one. Source: DESIGN decision 7.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from eventspine.contracts.errors import InvalidCursor

_SHAPE = re.compile(r"([0-9]{16})_([0-9]{16})", re.ASCII)


class Cursor(NamedTuple):
    epoch: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch:016d}_{self.sequence:016d}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor in `text`. Raises InvalidCursor when it is not one."""
        match = _SHAPE.fullmatch(text)
        if match is None or match[1] == "0" * 16:
            raise InvalidCursor(f"not a cursor: {text[:64]!r}", requested=text[:64])
        return cls(int(match[1]), int(match[2]))

    @staticmethod
    def looks_like(text: str) -> bool:
        """Whether `text` has the shape of a cursor (so it is never taken for an event id)."""
        return _SHAPE.fullmatch(text) is not None
