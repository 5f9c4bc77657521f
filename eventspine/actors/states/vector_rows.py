"""The vectors of a collection side by side, in blocks, and their points by id. Pure.

Job: keep each vector once, where an engine can look at thousands of them in one go: a block is a
piece of memory with one row for each point, in the order in which they were written.
Rules:
- A row is written once and never again. A point that is replaced gets another row, and its old one
  is dead; a block of which most is dead is packed into a smaller one, in the same order.
- `shown` is what there is at a moment, for another thread: it costs a few words a block. What comes
  later is behind its rows; what goes later is dead in a mask of which it has its own.
- Blocks begin small and grow with the collection, up to BLOCK_BYTES or ROWS_MAX.
- Points do not refer to their block, but to its bytes: no cycles, so that a collection which is let
  go is gone at once.
Source: KIND-08, docs/decisions/0013-vectors.md.
"""

from __future__ import annotations

from builtins import id as identity
from collections.abc import Iterable
from typing import Any, NamedTuple

from eventspine.contracts.vectors import VectorPoint

BLOCK_BYTES = 4 * 1024 * 1024
ROWS_MAX = 8_192
ROWS_MIN = 16
_ROWS = list(range(ROWS_MAX))  # one object for each number, whatever the block
_EMPTY_JSON = b"{}"


class Block:
    """Rows of `size` bytes, and the point of each, dead ones too."""

    __slots__ = (
        *("capacity", "data", "dead", "high", "in_order", "is_shown", "kept", "live", "low"),
        *("points", "size"),
    )

    def __init__(self, size: int, capacity: int) -> None:
        self.size = size
        self.capacity = capacity
        self.data = bytearray(size * capacity)
        self.points: list[VectorPoint] = []
        self.dead: bytearray | None = None  # a 1 for each row that is
        self.is_shown = False  # the mask is somebody else's too
        self.live = 0
        self.low, self.high = 0, -1  # of the versions of its points
        self.in_order = True
        self.kept: Any = None  # what an engine has computed of these rows; it may go

    def add(self, id: str, vector: bytes, json: bytes, version: int, at: str) -> VectorPoint:
        """Another row. There is room."""
        row, size = len(self.points), self.size
        self.data[row * size : (row + 1) * size] = vector
        point = VectorPoint(id, self.data, json, version, at, _ROWS[row], size)
        self.in_order &= version > self.high
        self.low = min(self.low, version) if row else version
        self.high = max(self.high, version)
        self.points.append(point)
        self.live += 1
        return point

    def kill(self, row: int) -> None:
        if self.dead is None:
            self.dead = bytearray(self.capacity)
        elif self.is_shown:
            self.dead = self.dead[:]
        self.is_shown = False
        self.dead[row] = 1
        self.live -= 1

    def shown(self) -> Part:
        """What there is of it now."""
        self.is_shown = True
        count = len(self.points)
        dead = None if self.live == count else self.dead
        return Part(self, count, dead, self.live, self.low, self.high)

    def living(self, count: int, dead: bytearray | None) -> list[VectorPoint]:
        """The points of the first rows, without those that are dead in a mask."""
        points = self.points[:count]
        if dead is None:
            return points
        return [point for point, gone in zip(points, dead, strict=False) if not gone]


class Part(NamedTuple):
    """What there is of a block at a moment: its first `length` rows that are not `dead`."""

    block: Block
    length: int
    dead: bytearray | None
    live: int
    low: int
    high: int

    @property
    def points(self) -> list[VectorPoint]:
        return self.block.living(self.length, self.dead)


class Rows:
    """The points of a collection."""

    def __init__(self) -> None:
        self.by_id: dict[str, VectorPoint] = {}
        self._blocks: dict[int, Block] = {}  # by the identity of their bytes, in order
        self._open: Block | None = None
        self._at = ""

    def put(self, id: str, vector: bytes, json: bytes, version: int, updated_at: str) -> None:
        """Write a point, in place of the one of this id."""
        self.remove(id)  # and so points stand in the order in which they were written
        if updated_at != self._at:  # one text for all of a batch
            self._at = updated_at
        json = _EMPTY_JSON if json == _EMPTY_JSON else json
        block = self._room(len(vector))
        self.by_id[id] = block.add(id, vector, json, version, self._at)

    def remove(self, id: str) -> None:
        """Take a point out, if it is there."""
        point = self.by_id.pop(id, None)
        if point is None:
            return
        block = self._blocks[identity(point.data)]
        block.kill(point.row)
        if block is not self._open:
            self._packed(block)

    def shown(self) -> tuple[Part, ...]:
        """What there is, for another thread."""
        return tuple([block.shown() for block in self._blocks.values()])

    def _room(self, size: int) -> Block:
        """The block that has room for one more row."""
        block = self._open
        if block is None or block.size != size or len(block.points) == block.capacity:
            if block is not None:
                self._packed(block)
            most = max(1, min(ROWS_MAX, BLOCK_BYTES // max(size, 1)))
            block = self._open = Block(size, min(most, max(ROWS_MIN, len(self.by_id))))
            self._blocks[identity(block.data)] = block
        return block

    def _packed(self, block: Block) -> None:
        """Put a smaller block in its place, or none, if most of it is dead."""
        if 2 * block.live >= len(block.points):
            return
        if not block.live:
            del self._blocks[identity(block.data)]
            return
        smaller = Block(block.size, block.live)
        for old in block.living(len(block.points), block.dead):
            self.by_id[old.id] = smaller.add(
                old.id, old.vector, old.json, old.version, old.updated_at
            )
        kept = [smaller if one is block else one for one in self._blocks.values()]
        self._blocks = {identity(one.data): one for one in kept}


def rows_of(points: Iterable[VectorPoint]) -> tuple[Part, ...]:
    """Copies of some points, no two of one id, side by side."""
    rows = Rows()
    for one in points:
        rows.put(one.id, one.vector, one.json, one.version, one.updated_at)
    return rows.shown()
