"""Switch: a route's move to another backend with everything behind it, step by step.

    prepared -> copying -> dual_writing -> verified -> switched -> finished
                                                          |
                                                       reversed -> (verified again, or finished)

Rules: one at a time for a route. It is kept beside the registry, so that every step goes on after a
crash. `next_steps` names what can be done now. Source: DESIGN decision 11.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator, model_validator

from eventspine.contracts.route import RouteKey, RouteSpec

R = TypeVar("R", bound=RouteSpec)


class SwitchState(StrEnum):
    PREPARED = "prepared"
    COPYING = "copying"
    DUAL_WRITING = "dual_writing"
    VERIFIED = "verified"
    SWITCHED = "switched"
    REVERSED = "reversed"
    FINISHED = "finished"
    CANCELLED = "cancelled"


_NEXT: dict[SwitchState, list[str]] = {
    SwitchState.PREPARED: ["run", "cancel"],
    SwitchState.COPYING: ["wait", "cancel"],
    SwitchState.DUAL_WRITING: ["verify", "cancel"],
    SwitchState.VERIFIED: ["switch", "verify", "cancel"],
    SwitchState.SWITCHED: ["finish", "reverse"],
    SwitchState.REVERSED: ["verify", "finish"],
    SwitchState.FINISHED: [],
    SwitchState.CANCELLED: [],
}
ENDED = frozenset([SwitchState.FINISHED, SwitchState.CANCELLED])


class Place(BaseModel):
    """A backend as a route names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str | None = Field(None, min_length=1, max_length=63)
    backend_type: str = Field("", max_length=64)
    config: dict[str, Any] = Field(default_factory=dict)

    @field_validator("backend_type")
    @classmethod
    def _lower(cls, value: str) -> str:
        return value.lower()

    @model_validator(mode="after")
    def _one_target(self) -> Place:  # noqa: N804 - an after-validator is a method
        if (self.backend is None) == (not self.backend_type):
            raise ValueError("a place is a backend_type, or the name of a declared backend")
        return self

    @staticmethod
    def of(route: RouteSpec) -> Place:
        return Place(backend=route.backend, backend_type=route.backend_type, config=route.config)

    def in_place_of(self, route: R) -> R:
        """The route, leading here."""
        return route.model_copy(update=self.model_dump())


class SwitchProgress(BaseModel):
    """Streams behind the route, those that both backends have alike, and what was copied so far.

    `follows`: all of them were level, and nothing has failed since, so that steps can be taken.
    """

    model_config = ConfigDict(frozen=True)

    streams: int = 0
    level: int = 0
    follows: bool = False
    copied_events: int = 0
    copied_bytes: int = 0


class Verification(BaseModel):
    """One comparison of every stream on both sides; `sha256` is over all lines of the source.

    `difference` names the first stream that is not alike, and how.
    """

    model_config = ConfigDict(frozen=True)

    at: datetime
    streams: int
    events: int
    sha256: str
    difference: str | None = None


class CleanStop(BaseModel):
    """The mark of a process that ended in good order while both sides were alike.

    `revision` is the registry's; `heads_sha256` is over the heads of these streams, on either side.
    """

    model_config = ConfigDict(frozen=True)

    revision: int
    streams: int
    heads_sha256: str


class Switch(BaseModel):
    """A switch as it is kept. `revision` is that of the route which it last saw or wrote.

    `clean_stop` is there only between the end of a process and the next start.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    resource_kind: str
    tenant_id: str
    env: str
    project_id: str
    mode: str
    source: Place
    target: Place
    state: SwitchState = SwitchState.PREPARED
    revision: int
    started_at: datetime
    started_by: str | None = None
    reason: str | None = None
    updated_at: datetime
    progress: SwitchProgress = SwitchProgress()
    verification: Verification | None = None
    pause_ms: float | None = None
    error: str | None = None
    clean_stop: CleanStop | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def next_steps(self) -> list[str]:
        return _NEXT[self.state]

    def shown(self) -> dict[str, Any]:
        """What clients are told of it, for JSON."""
        return self.model_dump(mode="json", exclude={"clean_stop"})

    @property
    def key(self) -> RouteKey:
        return RouteKey(self.resource_kind, self.tenant_id, self.env, self.project_id, self.mode)

    @property
    def is_open(self) -> bool:
        return self.state not in ENDED

    @property
    def primary(self) -> Place:
        """Where the route leads to now."""
        return self.target if self.state is SwitchState.SWITCHED else self.source

    @property
    def follower(self) -> Place:
        """The other one, which is written to as well."""
        return self.source if self.state is SwitchState.SWITCHED else self.target
