"""One keyed cell, the turn that is running in it, and the line of callers behind that turn.

Job: identity, state and mutual exclusion of one key without a task, a timer or a queue object.
Rules: an idle cell is these six slots and nothing else; `turn` is None exactly when nobody runs
and nobody waits; the end of a turn hands the cell to the next in line, so nobody can barge in;
the control lane goes before the turn lane.
Refused: an asyncio/anyio Lock per key (its own deque and event while idle, and no lanes).
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Generic, TypeVar

import anyio

S = TypeVar("S")


class _Vacant:
    __slots__ = ()

    def __repr__(self) -> str:
        return "<vacant>"


VACANT: Final[Any] = _Vacant()
"""State of a cell that is not activated. Typed Any so that it fits every cell."""


class Cell(Generic[S]):
    """Everything the directory remembers about one key.

    `touched` is a tick of the directory, not a time: reading the clock would cost more than the
    turn. `place` is the index in the recency ring, -1 while the cell is not activated.
    """

    __slots__ = ("incarnation", "key", "place", "state", "touched", "turn")

    def __init__(self, key: str, incarnation: int, touched: int) -> None:
        self.key = key
        self.state: S = VACANT
        self.turn: Turn | None = None
        self.incarnation = incarnation
        self.touched = touched
        self.place = -1


class Turn:
    """One caller's exclusive stay in a cell; it exists only while it lasts.

    `asks` are the cells this turn is asking right now: the edges of the wait-for graph live in
    the turns themselves, so the graph has no owner, spans directories and cannot leak.
    """

    __slots__ = ("activating_in", "asks", "began_s", "cell", "home", "line", "outer")

    def __init__(
        self, cell: Cell[Any], home: str, outer: Turn | None, began_s: float, line: Line | None
    ) -> None:
        self.cell = cell
        self.home = home
        self.outer = outer
        self.began_s = began_s
        self.line = line
        self.asks: list[Cell[Any]] | None = None
        self.activating_in: object | None = None

    @property
    def label(self) -> str:
        return f"{self.home}/{self.cell.key}"

    def is_within_activation(self, directory: object) -> bool:
        """True when this turn was asked for, however indirectly, by an activation there."""
        outer = self.outer
        while outer is not None and outer.activating_in is not directory:
            outer = outer.outer
        return outer is not None


class Waiter:
    """A caller in line. It leaves with a turn, with a refusal, or because it was cancelled."""

    __slots__ = ("outer", "refused", "turn", "woken")

    def __init__(self, outer: Turn | None) -> None:
        self.woken = anyio.Event()
        self.outer = outer
        self.turn: Turn | None = None
        self.refused = False


class Line:
    """Who waits for a cell, in order of arrival, in two lanes."""

    __slots__ = ("control", "turns")

    def __init__(self) -> None:
        self.control: deque[Waiter] = deque()
        self.turns: deque[Waiter] = deque()

    def __len__(self) -> int:
        return len(self.control) + len(self.turns)

    def join(self, waiter: Waiter, *, control: bool) -> None:
        (self.control if control else self.turns).append(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Take out somebody who gave up; the line is bounded, so the search is too."""
        lane = self.control if waiter in self.control else self.turns
        lane.remove(waiter)

    def call_next(self) -> Waiter | None:
        if self.control:
            return self.control.popleft()
        return self.turns.popleft() if self.turns else None

    def refuse_all(self) -> int:
        """Send everybody away, and tell how many that were."""
        sent = 0
        while (waiter := self.call_next()) is not None:
            waiter.refused = True
            waiter.woken.set()
            sent += 1
        return sent
