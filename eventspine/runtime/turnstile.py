"""Entering and leaving cells, one caller at a time each, in order of arrival.

Job: mutual exclusion for every cell of a directory, with a bounded line and a deadline.
Rules: a cell is free (`turn is None`) or handed directly from one caller to the next, never
free in between; whoever stops waiting leaves the line, or passes the cell on if it was handed
over in the same moment; the clock is read twice per turn and twice per wait.
Source: DESIGN decision 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from eventspine.runtime.cell import VACANT, Cell, Line, Turn, Waiter
from eventspine.runtime.clock import LoopClock
from eventspine.runtime.limits import DirectoryLimits
from eventspine.runtime.refusal import Refusals
from eventspine.runtime.statistics import Counters, Timing


class Turnstile:
    """The running and waiting turns of one directory.

    `on_vacant` is called with a cell that nobody uses any more and that has no state.
    """

    def __init__(
        self,
        name: str,
        limits: DirectoryLimits,
        clock: LoopClock,
        count: Counters,
        refusals: Refusals,
        on_vacant: Callable[[Cell[Any]], None],
    ) -> None:
        self._name = name
        self._limits = limits
        self._now = clock.now
        self._count = count
        self._refusals = refusals
        self._on_vacant = on_vacant
        self.running: set[Cell[Any]] = set()
        self.wait = Timing()
        self.hold = Timing()
        self._quiet: anyio.Event | None = None

    def enter_nowait(self, cell: Cell[Any], asker: Turn | None) -> Turn:
        """Take a free cell."""
        turn = cell.turn = Turn(cell, self._name, asker, self._now(), None)
        self.running.add(cell)
        return turn

    async def enter(
        self, cell: Cell[Any], asker: Turn | None, until: float | None, *, control: bool
    ) -> Turn:
        """Wait for a cell in its line. `until` None means `turn_wait_s` from now.

        Raises:
            Overloaded: the line is full (turn lane only).
            DeadlineExceeded: not its turn by `until`.
            Draining: the directory stopped meanwhile.
        """
        line = self._line_of(cell, control=control)
        waiter = Waiter(asker)
        line.join(waiter, control=control)
        self._count.waiting += 1
        self._count.waiting_peak = max(self._count.waiting_peak, self._count.waiting)
        began_s = self._now()
        until = began_s + self._limits.turn_wait_s if until is None else until
        try:
            with anyio.CancelScope(deadline=until):
                await waiter.woken.wait()
        except BaseException:
            self._give_up(cell, waiter)
            raise
        self.wait.record(self._now() - began_s)
        return self._turn_of(cell, waiter, until)

    def leave(self, cell: Cell[Any], turn: Turn) -> None:
        """End `turn`: hand the cell to the next in line, or leave it free."""
        now = self._now()
        self.hold.record(now - turn.began_s)
        waiter = turn.line.call_next() if turn.line is not None else None
        if waiter is not None:
            self._count.waiting -= 1
            cell.turn = waiter.turn = Turn(cell, self._name, waiter.outer, now, turn.line)
            waiter.woken.set()
            return
        cell.turn = None
        self.running.discard(cell)
        if cell.state is VACANT:
            self._on_vacant(cell)
        if self._quiet is not None and not self.running:
            self._quiet.set()

    async def wait_quiet(self, deadline: float) -> None:
        """Wait until nobody runs or waits; at `deadline` refuse those who still wait."""
        with anyio.CancelScope(deadline=deadline):
            while self.running:
                if self._quiet is None or self._quiet.is_set():
                    self._quiet = anyio.Event()
                await self._quiet.wait()
        for cell in self.running:
            if cell.turn is not None and cell.turn.line is not None:
                self._count.waiting -= cell.turn.line.refuse_all()

    def _line_of(self, cell: Cell[Any], *, control: bool) -> Line:
        assert cell.turn is not None
        line = cell.turn.line
        if line is None:
            line = cell.turn.line = Line()
        maximum = self._limits.waiters_max
        if not control and len(line.turns) >= maximum:
            retry_after_s = min(self._limits.turn_wait_s, self.hold.mean_s * maximum)
            raise self._refusals.overloaded(cell.key, "waiters_max", maximum, retry_after_s)
        return line

    def _turn_of(self, cell: Cell[Any], waiter: Waiter, until: float) -> Turn:
        """What the wait came to: a turn, or the refusal that ended it."""
        if waiter.refused:
            raise self._refusals.draining(cell.key)
        if waiter.turn is None or self._now() > until:
            self._give_up(cell, waiter)
            raise self._refusals.too_late(cell.key, "in line")
        return waiter.turn

    def _give_up(self, cell: Cell[Any], waiter: Waiter) -> None:
        if waiter.turn is not None:
            self.leave(cell, waiter.turn)
        elif not waiter.refused:
            assert cell.turn is not None
            assert cell.turn.line is not None
            cell.turn.line.leave(waiter)
            self._count.waiting -= 1
