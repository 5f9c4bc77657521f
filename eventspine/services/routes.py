"""The routing registry: which backend serves which scope. No route, no service.

Job: keep the routes (revisioned, compare-and-set, survives restart), resolve a key to one of them,
guard which backend may serve which mode. Source: DESIGN decision 11; R-01 … R-04, R-08 … R-10.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import anyio

from eventspine.contracts.backends import Backends
from eventspine.contracts.context import DEFAULT_PROJECT, RequestContext
from eventspine.contracts.errors import (
    BackendRefusedInMode,
    NoRouteConfigured,
    RouteConflict,
    RouteNotFound,
)
from eventspine.contracts.registry import RegistryImage, RegistryStore
from eventspine.contracts.route import (
    LAB_BACKENDS,
    LAB_MODE,
    ResourceRoute,
    RouteKey,
    RouteSpec,
)
from eventspine.contracts.settings import RoutingSettings

Changed = Callable[[RouteKey], Awaitable[None]]


class RouteService:
    """The registry of one root. Lookups are answered from memory; changes are durable first."""

    def __init__(
        self, store: RegistryStore, backends: Backends[object], settings: RoutingSettings
    ) -> None:
        self._store = store
        self._backends = backends
        self._settings = settings
        self._image = RegistryImage()
        self._by_key: dict[RouteKey, ResourceRoute] = {}
        self._lock = anyio.Lock()
        self._listeners: list[Changed] = []

    async def load(self) -> None:
        self._adopt(await self._store.load())

    def on_change(self, listener: Changed) -> None:
        """Be told of every changed key, after the change is durable and visible to lookups."""
        self._listeners.append(listener)

    @property
    def revision(self) -> int:
        return self._image.revision

    # --- lookups ---

    def get_route(
        self,
        resource_kind: str,
        tenant_id: str,
        env: str,
        project_id: str | None = None,
        mode: str | None = None,
        *,
        context: RequestContext | None = None,
    ) -> ResourceRoute:
        """The route of a scope (FN-17). `mode` comes from `context` when it is left out.

        Raises:
            NoRouteConfigured: there is none; in every mode (D2c).
            BackendRefusedInMode: the mode guard, which looks again at every resolve.
        """
        mode = mode or (context.mode if context else None)
        if mode is None:
            raise TypeError("get_route() needs mode, or a context that has one")
        key = RouteKey(resource_kind, tenant_id, env, project_id or DEFAULT_PROJECT, mode)
        route = self.find(key)
        if route is None:
            raise NoRouteConfigured(resource_kind, **key._asdict())
        self.guard(route)
        return route

    def find(self, key: RouteKey) -> ResourceRoute | None:
        return self._by_key.get(key)

    def get(self, key: RouteKey) -> ResourceRoute:
        route = self.find(key)
        if route is None:
            raise RouteNotFound(f"no route {'/'.join(key)}", **key._asdict())
        return route

    def list(self) -> list[ResourceRoute]:
        return sorted(self._image.routes, key=lambda route: route.key)

    def guard(self, route: RouteSpec) -> None:
        """R-04, R-09: the backends of one machine are for lab, or for modes the operator names."""
        allowed = (LAB_MODE, *self._settings.lab_backend_modes)
        if route.backend_type in LAB_BACKENDS and route.mode not in allowed:
            raise BackendRefusedInMode(
                f"backend {route.backend_type} is not for mode {route.mode}",
                backend_type=route.backend_type,
                mode=route.mode,
            )

    # --- changes ---

    async def create(self, spec: RouteSpec, by: str | None = None) -> ResourceRoute:
        """A new route. Raises RouteConflict when the key has one."""
        async with self._lock:
            existing = self.find(spec.key)
            if existing is not None:
                raise RouteConflict(
                    f"route {'/'.join(spec.key)} exists", revision=existing.revision
                )
            return await self._put(spec, by)

    async def update(
        self, spec: RouteSpec, if_revision: int | None = None, by: str | None = None
    ) -> ResourceRoute:
        """Another backend or config for a key, if its route is still at `if_revision`."""
        async with self._lock:
            self._expect(self.get(spec.key), if_revision)
            return await self._put(spec, by)

    async def delete(
        self, key: RouteKey, if_revision: int | None = None, by: str | None = None
    ) -> None:
        """Remove a route. What is stored behind it stays where it is."""
        async with self._lock:
            self._expect(self.get(key), if_revision)
            rest = tuple(route for route in self._image.routes if route.key != key)
            await self._save(rest, key)

    @staticmethod
    def _expect(route: ResourceRoute, revision: int | None) -> None:
        if revision is not None and route.revision != revision:
            raise RouteConflict(
                f"the route is at revision {route.revision}, not {revision}",
                revision=route.revision,
            )

    async def _put(self, spec: RouteSpec, by: str | None) -> ResourceRoute:
        self.guard(spec)
        self._backends.check(spec.resource_kind.value, spec.backend_type, spec.config)
        route = ResourceRoute(
            **spec.model_dump(),
            revision=self._image.revision + 1,
            updated_at=datetime.now(UTC),
            updated_by=by,
        )
        others = tuple(other for other in self._image.routes if other.key != spec.key)
        await self._save((*others, route), spec.key)
        return route

    async def _save(self, routes: tuple[ResourceRoute, ...], changed: RouteKey) -> None:
        image = RegistryImage(self._image.revision + 1, routes)
        with anyio.CancelScope(shield=True):  # saved and unknown to ourselves would be a lie
            await self._store.save(image, replaces=self._image.revision)
            self._adopt(image)
        for listener in self._listeners:
            await listener(changed)

    def _adopt(self, image: RegistryImage) -> None:
        self._image = image
        self._by_key = {route.key: route for route in image.routes}
