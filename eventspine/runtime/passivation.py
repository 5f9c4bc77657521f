"""Which cells were used lately, and which idle one to let go.

Job: make room and forget idle keys, without a timer or a list node per key.
Rules: recency is a tick the directory writes into the cell, so a use costs one assignment; the
oldest of a small random sample stands for the oldest of all (Redis' approximated LRU), so making
room costs the same at ten cells and at a million. Small directories are looked at whole, which
makes the choice exact there.
Refused: OrderedDict.move_to_end on every use (100 more bytes per key, slower than the turn),
W-TinyLFU (an admission filter needs a cache that may decline; an asked key must be activated).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from eventspine.runtime.cell import Cell

S = TypeVar("S")

WHOLE_MAX = 64
SAMPLE = 8
LOOKS_MAX = 64


class Recency(Generic[S]):
    """The activated cells in no particular order, each knowing its own place."""

    __slots__ = ("_ring", "_rng")

    def __init__(self, rng: random.Random) -> None:
        self._ring: list[Cell[S]] = []
        self._rng = rng

    def __len__(self) -> int:
        return len(self._ring)

    def add(self, cell: Cell[S]) -> None:
        cell.place = len(self._ring)
        self._ring.append(cell)

    def remove(self, cell: Cell[S]) -> None:
        """Take `cell` out; the last one moves into its place, so nothing is shifted."""
        last = self._ring.pop()
        if last is not cell:
            self._ring[cell.place] = last
            last.place = cell.place
        cell.place = -1

    def clear(self) -> None:
        self._ring = []

    @property
    def seen_whole(self) -> bool:
        """True while `oldest` looks at every cell, so that None means there is none."""
        return len(self._ring) <= WHOLE_MAX

    def oldest(self, free: Callable[[Cell[S]], bool]) -> Cell[S] | None:
        """The least recently used of a sample of the cells that are `free` to go."""
        best: Cell[S] | None = None
        for looks, cell in enumerate(self._looks(), start=1):
            if (best is None or cell.touched < best.touched) and free(cell):
                best = cell
            if best is not None and looks >= SAMPLE and not self.seen_whole:
                break
        return best

    def _looks(self) -> Iterator[Cell[S]]:
        if self.seen_whole:
            return iter(tuple(self._ring))
        size = len(self._ring)
        return (self._ring[int(self._rng.random() * size)] for _ in range(LOOKS_MAX))

    def slices(self, cells: int) -> Iterator[list[Cell[S]]]:
        """All cells, back to front, a few at a time; cells may come and go between the slices.

        Back to front because `remove` moves the last cell forward: whatever moves was seen.
        """
        end = len(self._ring)
        while end > 0:
            start = max(0, end - cells)
            yield self._ring[start:end]
            end = start
