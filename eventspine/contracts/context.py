"""RequestContext: who asks, and in which scope. Required by every operation (R-08)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, field_validator

from eventspine.contracts.errors import ContextMissing
from eventspine.contracts.ids import checked_id, checked_mode, joined_segment, path_segment
from eventspine.contracts.surface import DEFAULT_SURFACE, canonical_surface

DEFAULT_PROJECT = "default"


class Scope(NamedTuple):
    """The part of a context that owns data: two scopes never see each other's streams.

    `surface_id` is canonical. `mode` is not part of any path (PATH-09): the owner of a stream
    remembers the mode it was written in and refuses any other.
    """

    tenant_id: str
    env: str
    mode: str
    project_id: str = DEFAULT_PROJECT
    surface_id: str = DEFAULT_SURFACE

    @property
    def path(self) -> str:
        """`{tenant}/{env}/{surface}` or `{tenant}/{env}/{surface}@{project}` (PATH-01, D15)."""
        surface = path_segment(self.surface_id)
        if self.project_id != DEFAULT_PROJECT:
            surface = joined_segment(surface, path_segment(self.project_id))
        return f"{path_segment(self.tenant_id)}/{path_segment(self.env)}/{surface}"


class RequestContext(BaseModel):
    """FLD-20 … FLD-23. Frozen; build one per request, or one per worker and copy it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str
    env: str
    mode: str
    project_id: str = DEFAULT_PROJECT
    app_id: str | None = None
    surface_id: str = DEFAULT_SURFACE
    user_id: str | None = None
    request_id: str | None = None
    run_id: str | None = None
    trace_id: str | None = None
    actor_type: str | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _usable(cls, value: object, info: object) -> object:
        name = getattr(info, "field_name", "value")
        if value is None and name in _OPTIONAL:
            return None
        return checked_mode(value) if name == "mode" else checked_id(value, str(name))

    @field_validator("surface_id", mode="after")
    @classmethod
    def _canonical(cls, value: str) -> str:
        return canonical_surface(value)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A context with other values: checked like a new one, and with a scope of its own."""
        return type(self).model_validate({**self.model_dump(), **(update or {})})

    def for_request(self, request_id: str, trace_id: str | None) -> Self:
        """This context for one request of its scope. The ids are the caller's to have checked.

        Not `model_copy`: validating again costs more than the rest of an append, and the scope,
        which is derived, stays what it is.
        """
        copy = self.__copy__()
        values = copy.__dict__
        values.pop("_stamp", None)
        values["request_id"], values["trace_id"] = request_id, trace_id
        return copy

    @cached_property
    def scope(self) -> Scope:
        return Scope(self.tenant_id, self.env, self.mode, self.project_id, self.surface_id)


_OPTIONAL = frozenset(["app_id", "user_id", "request_id", "run_id", "trace_id", "actor_type"])
_REQUIRED = ("tenant_id", "env", "mode")


def context_of(
    stated: Mapping[str, str | None],
    defaults: Mapping[str, str] | None = None,
    aliases: Mapping[str, str] | None = None,
) -> RequestContext:
    """A context from what a request states, completed by the operator's lab defaults.

    Raises:
        ContextMissing: tenant, env or mode is neither stated nor a default.
        InvalidId: a stated value cannot be an id.
    """
    values = {name: value for name, value in stated.items() if value is not None}
    for name, value in (defaults or {}).items():
        values.setdefault(name, value)
    missing = [name for name in _REQUIRED if name not in values]
    if missing:
        raise ContextMissing(f"missing: {', '.join(missing)}", missing=missing)
    if aliases is not None and "surface_id" in values:
        values["surface_id"] = canonical_surface(values["surface_id"], aliases)
    return RequestContext.model_validate(values)
