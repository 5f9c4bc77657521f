"""ResourceRoute: which backend holds one kind of store for one scope.

Source: FLD-08 … FLD-18, Q10.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from eventspine.contracts.context import DEFAULT_PROJECT
from eventspine.contracts.ids import checked_id, checked_mode


class ResourceKind(StrEnum):
    """The ten kinds of store (KIND-01 … KIND-10)."""

    EVENT_STREAM = "event_stream"
    EVENT_SPINE = "event_spine"
    TABULAR_STORE = "tabular_store"
    OBJECT_STORE = "object_store"
    METRICS_STORE = "metrics_store"
    MEMORY_STORE = "memory_store"
    BUDGET_STORE = "budget_store"
    ANALYTICS_STORE = "analytics_store"
    VECTOR_STORE = "vector_store"
    ROUTING_REGISTRY_STORE = "routing_registry_store"


WILDCARD = "*"
LAB_MODE = "lab"
LAB_BACKENDS = frozenset(["filesystem", "memory"])


class RouteKey(NamedTuple):
    """What a route is found by (D3: mode is part of the key)."""

    resource_kind: str
    tenant_id: str
    env: str
    project_id: str
    mode: str

    def rows(self) -> list[RouteKey]:
        """The keys of the rows that could serve this scope, the most specific first.

        An exact tenant weighs more than an exact env, and that more than an exact project; kind
        and mode are never wild. So there are at most eight, and no two of them weigh the same.
        """
        found = [
            RouteKey(self.resource_kind, tenant, env, project, self.mode)
            for tenant in (self.tenant_id, WILDCARD)
            for env in (self.env, WILDCARD)
            for project in (self.project_id, WILDCARD)
        ]
        return list(dict.fromkeys(found))

    @property
    def wild(self) -> list[str]:
        """The parts of this key that stand for every value."""
        parts = ("tenant_id", "env", "project_id")
        return [part for part in parts if getattr(self, part) == WILDCARD]


class RouteSpec(BaseModel):
    """A route as an operator writes it. `*` as tenant_id, env or project_id stands for all.

    What holds it is said by `backend_type` and `config`, or by the name of a declared `backend`.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"anyOf": [{"required": ["backend_type"]}, {"required": ["backend"]}]},
    )

    resource_kind: ResourceKind
    tenant_id: str
    env: str
    mode: str
    project_id: str = DEFAULT_PROJECT
    backend: str | None = Field(
        None, min_length=1, max_length=63, description="A backend declared in settings.toml."
    )
    backend_type: str = Field("", max_length=64)
    config: dict[str, Any] = Field(default_factory=dict)
    reason: str | None = Field(None, max_length=1000)
    tier: str | None = Field(None, max_length=64, description="As the operator sorts backends.")
    cost_notes: str | None = Field(None, max_length=1000)

    @field_validator("mode")
    @classmethod
    def _mode(cls, value: str) -> str:
        if value == WILDCARD:
            raise ValueError("a route is for one mode; * is for tenant_id, env and project_id")
        return checked_mode(value)

    @field_validator("tenant_id", "env", "project_id")
    @classmethod
    def _usable(cls, value: str, info: object) -> str:
        return checked_id(value, str(getattr(info, "field_name", "value")))

    @field_validator("backend_type")
    @classmethod
    def _lower(cls, value: str) -> str:
        return value.lower()  # R-10: compared in lower case, so kept in lower case

    @model_validator(mode="after")
    def _one_target(self) -> Self:  # noqa: N804 - an after-validator is a method
        if self.backend is None and not self.backend_type:
            raise ValueError("a route needs backend_type, or the name of a declared backend")
        if self.backend is not None and (self.backend_type or self.config):
            raise ValueError("a route with a declared backend has no backend_type and no config")
        return self

    @property
    def key(self) -> RouteKey:
        return RouteKey(
            self.resource_kind.value, self.tenant_id, self.env, self.project_id, self.mode
        )


class ResourceRoute(RouteSpec):
    """A route as the registry keeps it. `revision` is the registry's; it grows with each change."""

    revision: int = Field(ge=1)
    updated_at: datetime
    updated_by: str | None = None

    @property
    def spec(self) -> RouteSpec:
        """What was asked for, without what the registry added."""
        return RouteSpec.model_validate(self.model_dump(include=set(RouteSpec.model_fields)))

    @property
    def etag(self) -> str:
        return f'"{self.revision}"'
