"""What a supervisor shows: frozen, nested, ready for an endpoint (`dataclasses.asdict`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eventspine.runtime.child import Child, RestartCause, State
from eventspine.runtime.restart import Restart, Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildTree:
    """One child at one moment.

    Attributes:
        state: waiting (for its back-off or a sibling), starting, running, stopping, ended.
        restarts: that spent budget; outages: that did not.
        up_s: since it was ready; None while it is not.
        due_in_s: until its next start; None unless it waits.
        overdue: it ignores its cancellation.
    """

    name: str
    state: State
    restart: Restart
    restarts: int
    outages: int
    failures_in_a_row: int
    causes: tuple[RestartCause, ...]
    up_s: float | None
    due_in_s: float | None
    overdue: bool
    below: Any | None

    @classmethod
    def of(cls, child: Child, now: float) -> ChildTree:
        up = child.state == "running" and child.ready_at_s is not None
        return cls(
            name=child.spec.name,
            state=child.state,
            restart=child.spec.restart,
            restarts=child.restarts,
            outages=child.outages,
            failures_in_a_row=child.failures,
            causes=tuple(child.causes),
            up_s=now - child.ready_at_s if up and child.ready_at_s is not None else None,
            due_in_s=max(0.0, child.due_s - now) if child.state == "waiting" else None,
            overdue=child.overdue,
            below=child.spec.tree() if child.spec.tree is not None else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorTree:
    """One supervisor at one moment, with everything below it."""

    name: str
    strategy: Strategy
    intensity: int
    period_s: float
    budget_left: int
    running: bool
    children: tuple[ChildTree, ...]
