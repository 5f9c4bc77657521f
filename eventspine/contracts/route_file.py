"""A file of routes: the whole registry as an operator wants it, to be planned and applied.

    serial = 12                       # the revision it was written against
    [[routes]]
    resource_kind = "event_stream"
    tenant_id = "*"
    env = "dev"
    mode = "lab"
    backend_type = "filesystem"

Rows that are not in the file are deleted by it. JSON has the same members.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventspine.contracts.errors import InvalidRoute
from eventspine.contracts.route import RouteKey, RouteSpec

FILE_ROUTES_MAX = 10_000


class RouteFile(BaseModel):
    """`serial` is needed to apply it, not to plan it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    serial: int | None = Field(None, ge=0)
    routes: tuple[RouteSpec, ...] = Field(max_length=FILE_ROUTES_MAX)

    def by_key(self) -> dict[RouteKey, RouteSpec]:
        """The rows by key. Raises InvalidRoute when two have the same."""
        rows = {spec.key: spec for spec in self.routes}
        if len(rows) != len(self.routes):
            twice = next(spec.key for spec in self.routes if rows[spec.key] is not spec)
            raise InvalidRoute(f"the file has two routes {'/'.join(twice)}", field="routes")
        return rows


def checked_file(members: Any) -> RouteFile:
    """A file from its members. Raises InvalidRoute naming the first wrong one."""
    try:
        return RouteFile.model_validate(members)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise InvalidRoute(f"{where}: {first['msg']}", field=where) from None


def parsed_file(text: str, name: str) -> RouteFile:
    """A file from its text: JSON when its name ends so, else TOML. Raises InvalidRoute."""
    try:
        members = json.loads(text) if name.endswith(".json") else tomllib.loads(text)
    except ValueError as error:  # both kinds of decode error
        raise InvalidRoute(f"{name}: {error}") from None
    return checked_file(members)
