"""Rows of a table: what the tabular store answers. Source: FN-09 … FN-12, FLD-24."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson


class Row(NamedTuple):
    """One row as it stands. `version` grows with every change of its table."""

    key: str
    json: bytes  # what was put there, as it was sent
    version: int
    updated_at: str
    expires_at: str | None = None

    @property
    def data(self) -> Any:
        return orjson.loads(self.json)

    def as_json(self) -> dict[str, Any]:
        expires = {} if self.expires_at is None else {"expires_at": self.expires_at}
        return {
            "key": self.key,
            "data": orjson.Fragment(self.json),
            "version": self.version,
            "updated_at": self.updated_at,
            **expires,
        }


class RowPage(NamedTuple):
    """Rows in key order; `next` is what `after` of the next page has to be, None at the end."""

    rows: list[Row]
    next: str | None


class Operation(NamedTuple):
    """One part of a batch: an upsert, or a delete where `json` is None.

    `if_version`: None does not care, 0 wants no row there, any other that version.
    """

    key: str
    json: bytes | None
    if_version: int | None = None
    expires_at: str | None = None
