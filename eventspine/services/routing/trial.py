"""Answers about routes that change nothing: why a row serves a scope, and what a change would do.

Source: DESIGN decision 11, Q10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from eventspine.contracts.backends import Probe
from eventspine.contracts.route import ResourceRoute, RouteKey, RouteSpec
from eventspine.contracts.route_change import Difference, RouteHealth
from eventspine.contracts.system_routes import REGISTRY_KEY, hint


class Trial(NamedTuple):
    """A change that was tried.

    `moves`: scopes in use that would get another backend. `left_behind`: how many streams would
    stay at the old one; None when it would stay the backend.
    """

    revision: int
    action: str
    diff: Difference
    probe: Probe
    moves: list[RouteKey]
    left_behind: int | None = None

    def members(self) -> dict[str, Any]:
        return {
            "dry_run": True,
            "revision": self.revision,
            "action": self.action,
            "diff": self.diff,
            "probe": self.probe._asdict(),
            "moves": [key._asdict() for key in self.moves],
            "left_behind": self.left_behind,
        }


def explained(
    key: RouteKey,
    rows: Mapping[RouteKey, ResourceRoute],
    refusal: Callable[[RouteSpec], str | None],
    health: Callable[[RouteKey], RouteHealth],
    revision: int,
) -> dict[str, Any]:
    """The rows that could serve a scope in the order they are looked for, and which one does."""
    winner: ResourceRoute | None = None
    candidates = []
    registry = key.resource_kind == REGISTRY_KEY.resource_kind  # one for every scope
    for candidate in [REGISTRY_KEY] if registry else key.rows():
        row = rows.get(candidate)
        why = _why(candidate, row, winner)
        if winner is None:
            winner = row
        candidates.append(
            {
                "key": candidate._asdict(),
                "exists": row is not None,
                "wins": row is not None and row is winner,
                "why": why,
            }
        )
    return {
        "key": key._asdict(),
        "revision": revision,
        "route": None if winner is None else winner.model_dump(mode="json"),
        "health": None if winner is None else health(winner.key).model_dump(),
        "refused": None if winner is None else refusal(winner),
        "why": _because(key, winner),
        "candidates": candidates,
    }


def _why(candidate: RouteKey, row: ResourceRoute | None, winner: ResourceRoute | None) -> str:
    if row is None:
        return "there is no such row"
    if winner is None:
        return "it is the most specific row there is"
    return f"{'/'.join(winner.key)} is more specific"


def _because(key: RouteKey, winner: ResourceRoute | None) -> str:
    if winner is None:
        return f"No route configured for {key.resource_kind}{hint(key)}"
    if winner.key == REGISTRY_KEY:
        return "every scope has the one registry, which is opened before any route"
    if winner.key == key:
        return "the row is for exactly this scope"
    return f"no row is more specific; any {', '.join(winner.key.wild)} will do for this one"
