"""A block of stored lines as they lie in a file, split only when somebody asks for one of them.

Why: a page of 1,000 events is one piece of half a megabyte on its way from the file to the socket.
Making 1,000 objects of it and joining them again took most of what such a page cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from eventspine.native import core


class LineBlock(Sequence[bytes]):
    """Equal to the list of its lines. Immutable, as `data` is.

    Args:
        data: whole lines, each with its newline.
        start, end: where the first begins in `data`, and where the last ends, newline included.
        count: how many lines that are.
    """

    __slots__ = ("_count", "_data", "_end", "_lines", "_start")

    def __init__(self, data: bytes, start: int, end: int, count: int) -> None:
        self._data, self._start, self._end, self._count = data, start, end, count
        self._lines: list[bytes] | None = None

    @property
    def size(self) -> int:
        """Bytes of all lines, without their newlines."""
        return self._end - self._start - self._count

    def inside(self, before: bytes, after: bytes) -> bytes:
        """`before`, the lines with commas between them, `after`."""
        if not self._count:
            return before + after
        if core is not None:
            joined: bytes = core.joined_lines(before, self._data, self._start, self._end, after)
            return joined
        whole = memoryview(self._data.replace(b"\n", b","))
        return b"".join((before, whole[self._start : self._end - 1], after))

    def as_list(self) -> list[bytes]:
        if self._lines is None:
            lines = self._data[self._start : self._end].split(b"\n")
            lines.pop()
            self._lines = lines
        return self._lines

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.as_list())

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        return self.as_list()[at]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LineBlock):
            return self.as_list() == other.as_list()
        return self.as_list() == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"LineBlock({self.as_list()!r})"


def inside(before: bytes, lines: Sequence[bytes], after: bytes) -> bytes:
    """`before`, the lines with commas between them, `after`."""
    if isinstance(lines, LineBlock):
        return lines.inside(before, after)
    return b"%b%b%b" % (before, b",".join(lines), after)


def count_lines(data: bytes) -> int:
    """How many lines end in these bytes."""
    if core is None:
        return data.count(b"\n")
    found: int = core.count_lines(data)
    return found


def block_of(data: bytes, skip: int, count: int, lines: int) -> LineBlock:
    """`count` lines after the first `skip` of the `lines` that lie in `data`."""
    start = _behind(data, skip)
    rest = lines - skip - count
    end = len(data) if not rest else _before(data, rest)
    return LineBlock(data, start, end, count)


def _behind(data: bytes, lines: int) -> int:
    """Where the line after the first `lines` begins."""
    if core is not None:
        behind: int = core.place_of_line(data, lines, False)
        return behind
    at = 0
    for _ in range(lines):
        at = data.index(b"\n", at) + 1
    return at


def _before(data: bytes, lines: int) -> int:
    """Where the last `lines` begin."""
    if core is not None:
        before: int = core.place_of_line(data, lines, True)
        return before
    at = len(data)
    for _ in range(lines):
        at = data.rfind(b"\n", 0, at - 1) + 1
    return at
