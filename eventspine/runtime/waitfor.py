"""Who waits for whom: a re-entrant ask is refused as the cycle forms, not after a time-out.

Job: know the turn a piece of code runs in, and find the path of asks that leads back to it.
Rules: code outside any turn pays one context variable read and nothing else; an edge exists for
as long as its ask does; a turn that is over counts for nothing, although tasks it started still
carry it in their context.
Limits: waits on things outside the directories (locks, other processes) are not seen. A task
that a turn starts and does not wait for, and that asks the turn's own key before the turn ends,
is refused too: by its context it belongs to the turn.
Source: DESIGN decision 3; the three classes of deadlock Orleans users report.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from eventspine.contracts.errors import Deadlock
from eventspine.runtime.cell import Cell, Turn

HELD: ContextVar[Turn | None] = ContextVar("eventspine_held_turn", default=None)


def running_turn() -> Turn | None:
    """The innermost turn this code runs in that is not over yet."""
    turn = HELD.get()
    while turn is not None and turn.cell.turn is not turn:
        turn = turn.outer
    return turn


def path(start: Cell[Any], goal: Cell[Any]) -> list[Turn] | None:
    """The turns that lead from `start` to `goal` by what each is asking now, or None."""
    if start.turn is None:
        return None
    came_from: dict[Turn, Turn | None] = {start.turn: None}
    todo = [start.turn]
    while todo:
        turn = todo.pop()
        if turn.cell is goal:
            return _unwind(turn, came_from)
        for cell in turn.asks or ():
            if cell.turn is not None and cell.turn not in came_from:
                came_from[cell.turn] = turn
                todo.append(cell.turn)
    return None


def _unwind(last: Turn, came_from: dict[Turn, Turn | None]) -> list[Turn]:
    found: list[Turn] = []
    step: Turn | None = last
    while step is not None:
        found.append(step)
        step = came_from[step]
    return found[::-1]


def begin_ask(asker: Turn, target: Cell[Any]) -> None:
    """Record that `asker` waits for `target`, unless that closes a cycle.

    Raises:
        Deadlock: `cycle` names the keys as `directory/key`, first equals last.
    """
    if (back := path(target, asker.cell)) is not None:
        cycle = [asker.label, *(turn.label for turn in back)]
        raise Deadlock("the ask would wait for itself: " + " -> ".join(cycle), cycle=cycle)
    if asker.asks is None:
        asker.asks = []
    asker.asks.append(target)


def end_ask(asker: Turn, target: Cell[Any]) -> None:
    assert asker.asks is not None
    asker.asks.remove(target)
