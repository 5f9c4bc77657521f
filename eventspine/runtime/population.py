"""The cells of one directory: who exists, which incarnation, and who is let go.

Job: cells by key, their recency, passivation and reset. Nothing here waits, so nothing here can
race with an ask.
Rules: a cell with a turn is never dropped; a cell without state exists only while it has a turn;
incarnation numbers of a key only grow, also through passivation, because a new cell starts above
every number that was ever dropped.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from typing import Generic, Literal, TypeVar

from eventspine.runtime.cell import VACANT, Cell
from eventspine.runtime.passivation import Recency
from eventspine.runtime.statistics import Counters

S = TypeVar("S")
Cause = Literal["limit", "idle", "drain"]

SLICE_CELLS = 256

_log = logging.getLogger(__name__)


class Population(Generic[S]):
    """All cells of the directory called `name`."""

    def __init__(
        self,
        name: str,
        count: Counters,
        may_passivate: Callable[[S], bool] | None,
        on_passivate: Callable[[str, S], None] | None,
        on_reset: Callable[[str, S], None] | None,
        rng: random.Random,
    ) -> None:
        self._name = name
        self._count = count
        self._may_passivate = may_passivate
        self._on_passivate = on_passivate
        self._on_reset = on_reset
        self._incarnation_first = 1  # of the next new cell
        self._incarnation_last = 1  # the highest ever given
        self.cells: dict[str, Cell[S]] = {}
        self.recency: Recency[S] = Recency(rng)
        self.tick = 0

    def add(self, key: str) -> Cell[S]:
        """A cell without state; the caller takes its turn at once."""
        first = self._incarnation_first
        self._incarnation_last = max(self._incarnation_last, first)
        cell = self.cells[key] = Cell(key, first, self.tick)
        return cell

    def settle(self, cell: Cell[S], state: S) -> None:
        """The cell is activated."""
        cell.state = state
        cell.touched = self.tick
        self.tick += 1  # whoever is used from now on is younger
        self.recency.add(cell)
        self._count.activations += 1

    def next_tick(self) -> int:
        self.tick += 1
        return self.tick

    def drop(self, cell: Cell[S]) -> None:
        del self.cells[cell.key]
        unused = cell.incarnation if cell.state is VACANT else cell.incarnation + 1
        self._incarnation_first = max(self._incarnation_first, unused)

    def reset(self, cell: Cell[S]) -> None:
        """Forget the state; whoever is in turn goes on with what it was given."""
        self._count.resets += 1
        if cell.place >= 0:
            self.recency.remove(cell)
        state, cell.state = cell.state, VACANT
        self._tell(self._on_reset, cell.key, state)
        cell.incarnation += 1
        self._incarnation_last = max(self._incarnation_last, cell.incarnation)
        if cell.turn is None:
            self.drop(cell)

    def reset_all(self, running: set[Cell[S]]) -> None:
        """Like `reset` for every cell, in one step."""
        self._count.resets += len(self.cells)
        if self._on_reset is not None:
            for cell in self.cells.values():
                self._tell(self._on_reset, cell.key, cell.state)
        self._incarnation_last += 1
        self._incarnation_first = self._incarnation_last
        self.cells.clear()
        self.recency.clear()
        for cell in running:
            self.cells[cell.key] = cell
            cell.state = VACANT
            cell.place = -1
            cell.incarnation += 1

    def passivate(self, cell: Cell[S], cause: Cause) -> None:
        state = cell.state
        self.recency.remove(cell)
        self.drop(cell)
        self._count.passivated[cause] += 1
        self._tell(self._on_passivate, cell.key, state)

    def _tell(self, hook: Callable[[str, S], None] | None, key: str, state: S) -> None:
        if hook is None or state is VACANT:
            return
        try:
            hook(key, state)
        except Exception:
            self._count.crashes += 1
            _log.exception("%s: telling that %r is forgotten crashed", self._name, key)

    def is_free(self, cell: Cell[S]) -> bool:
        """Nobody runs or waits, and the state says it may go. A crash of its answer is a no."""
        if cell.turn is not None or cell.place < 0:
            return False
        if self._may_passivate is None:
            return True
        try:
            return self._may_passivate(cell.state)
        except Exception:
            self._count.crashes += 1
            _log.exception("%s: may_passivate of %r crashed", self._name, cell.key)
            return False

    def make_room(self, cells_max: int) -> bool:
        """Passivate for one new cell, two while there are too many. False: it stays too full.

        A sample may miss the few cells that are free to go, so a directory too large to be
        looked at whole may overshoot by an eighth before anybody is refused.
        """
        for _ in range(2 if len(self.cells) > cells_max else 1):
            cell = self.recency.oldest(self.is_free)
            if cell is not None:
                self.passivate(cell, "limit")
        slack = 0 if self.recency.seen_whole else cells_max // 8
        return len(self.cells) < cells_max + slack

    def passivate_untouched_since(self, tick: int) -> Iterator[None]:
        """Pauses after every few cells; the caller lets others run then."""
        for cells in self.recency.slices(SLICE_CELLS):
            for cell in cells:
                if cell.touched < tick and self.is_free(cell):
                    self.passivate(cell, "idle")
            yield

    def passivate_all(self) -> Iterator[None]:
        """For drain: everything nobody is using, without asking the state."""
        for cells in self.recency.slices(SLICE_CELLS):
            for cell in cells:
                if cell.turn is None and cell.place >= 0:
                    self.passivate(cell, "drain")
            yield
