"""Reach: which streams are behind one row of the registry, told by their keys and modes.

A key is `{kind}/{tenant}/{env}/{surface}[@{project}]/{name}`, of segments. A row reaches a key when
it is the most specific of all rows that match it, as for a scope (RouteKey.rows).
"""

from __future__ import annotations

from collections.abc import Iterable

from eventspine.actors.host import PROBE_KEYS
from eventspine.contracts.context import DEFAULT_PROJECT
from eventspine.contracts.ids import path_segment
from eventspine.contracts.route import WILDCARD, RouteKey

SCOPES_KEPT = 65_536


class Reach:
    """Args: rows: the keys of every row of the registry."""

    def __init__(self, row: RouteKey, rows: Iterable[RouteKey]) -> None:
        self.row = row
        self._rows = [
            key for key in rows if (key.resource_kind, key.mode) == (row.resource_kind, row.mode)
        ]
        self._known: dict[str, bool] = {}

    @property
    def prefix(self) -> str:
        """What every key within begins with."""
        parts = [self.row.resource_kind]
        for part in (self.row.tenant_id, self.row.env):
            if part == WILDCARD:
                break
            parts.append(path_segment(part))
        return "/".join(parts) + "/"

    def covers(self, key: str, mode: str) -> bool:
        """Whether a stream that is written in `mode` is behind the row."""
        return mode == self.row.mode and self.holds(key)

    def holds(self, key: str) -> bool:
        """Whether the key is behind the row, if it is of the row's mode."""
        scope = key.rpartition("/")[0]
        known = self._known.get(scope)
        if known is None:
            if len(self._known) >= SCOPES_KEPT:
                self._known.clear()
            known = self._known[scope] = self._serves(scope)
        return known

    def _serves(self, scope: str) -> bool:
        kind, *segments = scope.split("/")
        if f"{scope}/".startswith(PROBE_KEYS):
            return False  # the sentinel of a dry run goes to the backend that is tried
        if kind != self.row.resource_kind or len(segments) != 3:
            return False
        tenant, env, surface = segments
        project = surface.partition("@")[2] or path_segment(DEFAULT_PROJECT)
        rows = [row for row in self._rows if _matches(row, tenant, env, project)]
        return bool(rows) and max(rows, key=_weight) == self.row


def overlap(one: RouteKey, other: RouteKey) -> bool:
    """Whether there are scopes that both rows match."""
    same = one.resource_kind == other.resource_kind and one.mode == other.mode
    return same and all(
        WILDCARD in (left, right) or left == right
        for left, right in zip(one[1:4], other[1:4], strict=True)
    )


def _matches(row: RouteKey, tenant: str, env: str, project: str) -> bool:
    stated = (row.tenant_id, row.env, row.project_id)
    return all(
        part == WILDCARD or path_segment(part) == segment
        for part, segment in zip(stated, (tenant, env, project), strict=True)
    )


def _weight(row: RouteKey) -> tuple[bool, bool, bool]:
    return (row.tenant_id != WILDCARD, row.env != WILDCARD, row.project_id != WILDCARD)
