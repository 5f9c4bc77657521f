"""Looking routes up: which row serves a scope, what may serve it, and what its owner says.

Job: the rows by key in memory, the most specific one for a scope (RouteKey.rows), the mode guard.
Nothing here changes a row. Source: DESIGN decision 11; R-01 … R-04, R-08 … R-10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from eventspine.contracts.context import DEFAULT_PROJECT, RequestContext
from eventspine.contracts.declared import Declared
from eventspine.contracts.errors import (
    BackendNotDeclared,
    BackendRefusedInMode,
    NoRouteConfigured,
    RouteConflict,
    RouteNotFound,
)
from eventspine.contracts.registry import RegistryImage
from eventspine.contracts.route import (
    LAB_BACKENDS,
    LAB_MODE,
    ResourceRoute,
    RouteKey,
    RouteSpec,
)
from eventspine.contracts.route_change import (
    RouteHealth,
)
from eventspine.contracts.settings import RoutingSettings
from eventspine.contracts.system_routes import REGISTRY_KEY
from eventspine.services.routing.trial import explained


class Owners(Protocol):
    """The owners of the rows: eventspine.actors.route.RouteActors."""

    async def changed(self, key: RouteKey) -> RouteHealth: ...
    def health(self, key: RouteKey) -> RouteHealth: ...
    def stale(self) -> dict[RouteKey, str]: ...


LookedUp = Callable[[RouteKey, ResourceRoute, str], None]


class RouteLookups:
    """The rows of the registry as they are now."""

    def __init__(self, settings: RoutingSettings, declared: Declared | None = None) -> None:
        self._settings = settings
        self.declared = declared or Declared({})
        self.files: dict[str, str] = {}  # files of routes that are not taken, and why
        self._image = RegistryImage()
        self._by_key: dict[RouteKey, ResourceRoute] = {}
        self._owners: Owners | None = None
        self.own: ResourceRoute | None = None  # what the registry lies on; in no change
        self.looked_up: LookedUp = lambda key, route, how: None

    def owned_by(self, owners: Owners) -> None:
        """Who opens what a row names; told of a change before anybody else."""
        self._owners = owners

    @property
    def revision(self) -> int:
        return self._image.revision

    def get_route(
        self,
        resource_kind: str,
        tenant_id: str,
        env: str,
        project_id: str | None = None,
        mode: str | None = None,
        *,
        context: RequestContext | None = None,
        how: str = "resolve",
    ) -> ResourceRoute:
        """The route of a scope (FN-17). `mode` comes from `context` when it is left out.

        Args:
            how: it came about that somebody looks, for the audit.

        Raises:
            NoRouteConfigured: there is none; in every mode (D2c).
            BackendRefusedInMode: the mode guard, which looks again at every resolve.
            BackendNotDeclared: it names a backend that the settings do not have for it.
        """
        mode = mode or (context.mode if context else None)
        if mode is None:
            raise TypeError("get_route() needs mode, or a context that has one")
        key = RouteKey(resource_kind, tenant_id, env, project_id or DEFAULT_PROJECT, mode)
        route = self._serving(key)
        if route is None:
            raise NoRouteConfigured(resource_kind, **key._asdict())
        self.guard(route)
        self.looked_up(key, route, how)
        return self.declared.resolved(route)

    def resolve(self, key: RouteKey) -> ResourceRoute | None:
        """The most specific row that serves a scope."""
        exact = self._by_key.get(key)
        if exact is not None:
            return exact
        rows = map(self._by_key.get, key.rows())
        return next((row for row in rows if row is not None), None)

    def _serving(self, key: RouteKey) -> ResourceRoute | None:
        """`resolve`, where the registry itself may be asked about."""
        of_registry = key.resource_kind == REGISTRY_KEY.resource_kind
        return self.own if of_registry else self.resolve(key)

    def find(self, key: RouteKey) -> ResourceRoute | None:
        """The row of exactly this key."""
        return self._by_key.get(key)

    def get(self, key: RouteKey) -> ResourceRoute:
        route = self.own if key == REGISTRY_KEY else self.find(key)
        if route is None:
            raise RouteNotFound(f"no route {'/'.join(key)}", **key._asdict())
        return route

    def shown(self) -> list[ResourceRoute]:
        """The rows, and what the registry itself lies on."""
        return [*self.list(), *([] if self.own is None else [self.own])]

    def list(self) -> list[ResourceRoute]:
        return sorted(self._image.routes, key=lambda route: route.key)

    def guard(self, route: RouteSpec) -> None:
        """R-04, R-09: the backends of one machine are for lab, or for modes the operator names."""
        if route is self.own:
            return  # it is opened before any route
        route = self.declared.resolved(route)
        allowed = (LAB_MODE, *self._settings.lab_backend_modes)
        if route.backend_type in LAB_BACKENDS and route.mode not in allowed:
            raise BackendRefusedInMode(
                f"backend {route.backend_type} is not for mode {route.mode}",
                backend_type=route.backend_type,
                mode=route.mode,
            )

    def health(self, key: RouteKey) -> RouteHealth:
        """What the owner of a row says about it."""
        if key == REGISTRY_KEY and self.own is not None:
            return RouteHealth(state="serving", serving_revision=self.own.revision)
        return RouteHealth(state="unused") if self._owners is None else self._owners.health(key)

    def stale(self) -> dict[RouteKey, str]:
        """Rows whose newest revision could not be opened, and why."""
        return {} if self._owners is None else self._owners.stale()

    def explain(self, key: RouteKey) -> dict[str, Any]:
        """Which row serves a scope, which others could have, and why it is this one."""
        route = self._serving(key)
        if route is not None:
            self.looked_up(key, route, "explain")
        rows = {REGISTRY_KEY: route} if route is not None and route is self.own else self._by_key
        found = explained(key, rows, self._refusal, self.health, self.revision)
        return {**found, "files": self.files}

    def may_serve(self, route: RouteSpec) -> bool:
        """Whether the guard lets a row serve, as the settings are."""
        return self._refusal(route) is None

    def _refusal(self, route: RouteSpec) -> str | None:
        try:
            self.guard(route)
        except (BackendNotDeclared, BackendRefusedInMode) as error:
            return error.detail
        return None

    def _target(self, route: RouteSpec) -> tuple[str, dict[str, Any]] | None:
        """What a row leads to; None: to nothing that is declared."""
        try:
            found = self.declared.resolved(route)
        except BackendNotDeclared:
            return None
        return found.backend_type, found.config

    # --- what a change expects ---

    def _moves(self, scope: RouteKey, spec: RouteSpec) -> bool:
        """Whether the scope would be served by this row, and be served differently than now."""
        rows = scope.rows()
        if spec.key not in rows:
            return False
        now = self.resolve(scope)
        better = now is not None and rows.index(now.key) < rows.index(spec.key)
        return not better and (now is None or self._target(now) != self._target(spec))

    def _expect_none(self, key: RouteKey) -> None:
        existing = self.find(key)
        if existing is not None:
            raise RouteConflict(f"route {'/'.join(key)} exists", revision=existing.revision)

    @staticmethod
    def _expect(route: ResourceRoute, revision: int | None) -> None:
        if revision is not None and route.revision != revision:
            raise RouteConflict(
                f"the route is at revision {route.revision}, not {revision}",
                revision=route.revision,
            )

    def _expect_registry(self, revision: int | None) -> None:
        if revision is not None and revision != self.revision:
            raise RouteConflict(
                f"the registry is at revision {self.revision}, not {revision}",
                revision=self.revision,
            )

    def _adopt(self, image: RegistryImage) -> None:
        self._image = image
        self._by_key = {route.key: route for route in image.routes}
