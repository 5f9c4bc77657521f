"""Resolved: what scopes were resolved to by way of the registry, kept until the registry changes.

A look into `known` is all that a scope in use costs. Source: DESIGN decisions 8 and 10.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActor, RouteActors
from eventspine.contracts.context import Scope
from eventspine.contracts.route import RouteKey
from eventspine.services.routing.service import RouteService

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
SCOPES_MAX = 100_000  # scopes are few; this bounds a client that invents surfaces
MOVES_MAX = 8  # how often an operation follows a route that moves under it


def row_of(kind: str, scope: Scope) -> RouteKey:
    """The row of the registry that is of this scope alone."""
    return RouteKey(kind, scope.tenant_id, scope.env, scope.project_id, scope.mode)


def routing_of(scope: Scope) -> dict[str, str]:
    """What every event and record of a scope says of it (FLD-05)."""
    return {
        "tenant_id": scope.tenant_id,
        "env": scope.env,
        "mode": scope.mode,
        "project_id": scope.project_id,
    }


class Resolved(Generic[K, V]):
    """Args: row_of: the scope of something that is known, for who asks what a change would move."""

    def __init__(
        self,
        routes: RouteService,
        actors: RouteActors[StreamHost],
        row_of: Callable[[K], RouteKey],
    ) -> None:
        self.known: dict[K, V] = {}
        self.generation = 0  # of the registry, as far as this has been told
        self._routes = routes
        self._actors = actors
        self._row_of = row_of
        routes.on_change(self._route_changed, self._rows)
        routes.on_hold(self.forget)

    async def owner(self, kind: str, scope: Scope) -> RouteActor[StreamHost]:
        """Who owns the route of a scope. Raises what resolving raises."""
        route = self._routes.get_route(
            kind, scope.tenant_id, scope.env, scope.project_id, scope.mode, how="binding"
        )
        return await self._actors.resolve(route.key)

    def keep(self, key: K, value: V, generation: int) -> None:
        """Know it from now on, unless a route has changed since it was begun to be resolved."""
        if len(self.known) >= SCOPES_MAX:
            self.known.clear()
        if generation == self.generation:
            self.known[key] = value

    def forget(self) -> None:
        """Resolve everything again."""
        self.generation += 1
        self.known.clear()

    async def _route_changed(self, key: RouteKey) -> None:
        self.forget()

    def _rows(self) -> set[RouteKey]:
        return {self._row_of(key) for key in self.known}
