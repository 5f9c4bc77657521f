"""Backends that the operator declares by name, and who may use them.

    [backends.fast]                      # settings.toml
    backend_type = "filesystem"
    config = {root = "fast"}
    kinds = ["event_stream"]
    tenants = ["t_demo"]                 # or ["*"]
    modes = ["lab"]

Rules: a route that says `backend = "fast"` has no backend_type and config of its own; they are
looked up here whenever it is checked, opened or resolved, so that who may edit such routes names
no path and no address. A row for all tenants needs a backend that is for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from eventspine.contracts.errors import BackendNotDeclared
from eventspine.contracts.route import WILDCARD, ResourceKind, RouteKey, RouteSpec

R = TypeVar("R", bound=RouteSpec)


class DeclaredBackend(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    backend_type: str = Field(min_length=1, max_length=64)
    config: dict[str, Any] = Field(default_factory=dict)
    kinds: tuple[ResourceKind, ...] = Field(min_length=1)
    tenants: tuple[str, ...] = Field(min_length=1, description='Tenants; "*": all of them.')
    modes: tuple[str, ...] = Field(min_length=1)

    def serves(self, key: RouteKey) -> bool:
        """Whether a row of this key may name it."""
        return (
            key.resource_kind in self.kinds
            and key.mode in self.modes
            and (WILDCARD in self.tenants or key.tenant_id in self.tenants)
        )


class Declared:
    """The declared backends of a root, by name."""

    def __init__(self, backends: Mapping[str, DeclaredBackend]) -> None:
        self._backends = dict(backends)

    def resolved(self, route: R) -> R:
        """The route with the backend_type and config of what it names; itself if it names nothing.

        Raises:
            BackendNotDeclared: there is no such backend, or it is not for this route.
        """
        if route.backend is None:
            return route
        found = self._backends.get(route.backend)
        if found is None or not found.serves(route.key):
            raise BackendNotDeclared(
                f"no backend {route.backend!r} is declared for {'/'.join(route.key)}",
                backend=route.backend,
            )
        target = {"backend_type": found.backend_type.lower(), "config": found.config}
        return route.model_copy(update=target)

    def usable(self, key: RouteKey) -> list[str]:
        """The names that a row of this key may have."""
        return sorted(name for name, found in self._backends.items() if found.serves(key))
