"""What happened to the registry: one change of one or more rows under one new revision.

Job: the shape of a line of the history, the difference of two rows, and what became of the change
at the owner of the row. Source: FN-34, Q15, SYS-24, DESIGN decision 11.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from eventspine.contracts.circuit import CircuitHealth
from eventspine.contracts.route import ResourceRoute, RouteKey, RouteSpec

Action = Literal["create", "update", "delete", "rollback", "apply", "edit", "switch"]
Difference = list[dict[str, Any]]


class RowChange(BaseModel):
    """One row before and after. `diff` leads from one to the other, as JSON Patch (RFC 6902)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    before: ResourceRoute | None
    after: ResourceRoute | None
    diff: Difference

    @property
    def key(self) -> RouteKey:
        row = self.after or self.before
        assert row is not None, "a change of nothing"
        return row.key


class RouteChange(BaseModel):
    """One revision of the registry: who, why, when, and every row that it changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    revision: int = Field(ge=1)
    action: Action
    at: datetime
    by: str | None
    reason: str | None
    rows: tuple[RowChange, ...]


class RouteHealth(BaseModel):
    """What the owner of a row says: ACK is `serving` at the newest revision, NACK is `stale`.

    `serving_revision` is that of the handle in use, None when nothing could be opened so far;
    `unused` means that nobody has asked for it since the start. `circuit` is of the backend in
    use, and None without one.
    """

    model_config = ConfigDict(frozen=True)

    state: Literal["serving", "stale", "unused"]
    serving_revision: int | None = None
    reason: str | None = None
    circuit: CircuitHealth | None = None


def difference(before: RouteSpec | None, after: RouteSpec | None) -> Difference:
    """JSON Patch from one row to another, without what the registry itself writes."""
    if before is None or after is None:
        if after is None:
            return [{"op": "remove", "path": ""}]
        return [{"op": "add", "path": "", "value": _stated(after)}]
    return list(_steps("", _stated(before), _stated(after)))


def _stated(row: RouteSpec) -> dict[str, Any]:
    return row.model_dump(mode="json", include=set(RouteSpec.model_fields))


def _steps(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Any]:
    for name in sorted({*before, *after}):
        where = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in after:
            yield {"op": "remove", "path": where}
        elif name not in before:
            yield {"op": "add", "path": where, "value": after[name]}
        elif isinstance(before[name], dict) and isinstance(after[name], dict):
            yield from _steps(where, before[name], after[name])
        elif before[name] != after[name] or type(before[name]) is not type(after[name]):
            yield {"op": "replace", "path": where, "value": after[name]}
