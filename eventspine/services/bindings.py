"""Bindings: scopes resolved to the backends their routes lead to, kept until a route changes.

Source: DESIGN decisions 8 and 10. After the first operation of a scope, resolving it again costs
one look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActors
from eventspine.contracts.context import Scope
from eventspine.contracts.route import ResourceKind, RouteKey
from eventspine.contracts.wire import encode_json
from eventspine.services.envelope import Place, place_of
from eventspine.services.routing.service import RouteService

PLACES_MAX = 65_536
SCOPES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Binding:
    """A scope bound to the backend its route leads to, with what all its events have in common."""

    host: StreamHost
    prefix: str
    routing: Mapping[str, str]
    routing_json: bytes
    places: dict[str, Place] = field(default_factory=dict)

    def place(self, stream_id: str) -> Place:
        """Where a stream of this scope is; worked out once for a stream in use."""
        place = self.places.get(stream_id)
        if place is None:
            if len(self.places) >= PLACES_MAX:
                self.places.clear()
            place = self.places[stream_id] = place_of(stream_id, self.prefix, self.routing_json)
        return place


class Bindings:
    """`known` are those that hold now; `of` resolves any other."""

    def __init__(self, routes: RouteService, actors: RouteActors[StreamHost]) -> None:
        self.known: dict[Scope, Binding] = {}
        self._routes = routes
        self._actors = actors
        self._generation = 0
        routes.on_change(self._route_changed, self._scopes)

    async def of(self, scope: Scope) -> Binding:
        """The binding of a scope. Raises what resolving its route raises."""
        return self.known.get(scope) or await self._bind(scope)

    async def _bind(self, scope: Scope) -> Binding:
        kind, generation = ResourceKind.EVENT_STREAM.value, self._generation
        route = self._routes.get_route(
            kind, scope.tenant_id, scope.env, scope.project_id, scope.mode
        )
        owner = await self._actors.resolve(route.key)
        routing = {
            "tenant_id": scope.tenant_id,
            "env": scope.env,
            "mode": scope.mode,
            "project_id": scope.project_id,
        }
        binding = Binding(owner.handle, f"{kind}/{scope.path}/", routing, encode_json(routing))
        if len(self.known) >= SCOPES_MAX:
            self.known.clear()  # scopes are few; this bounds a client that invents surfaces
        if generation == self._generation:  # else a route changed while this one was resolved
            self.known[scope] = binding
        return binding

    async def _route_changed(self, key: RouteKey) -> None:
        self._generation += 1
        self.known.clear()

    def _scopes(self) -> set[RouteKey]:
        kind = ResourceKind.EVENT_STREAM.value
        return {RouteKey(kind, s.tenant_id, s.env, s.project_id, s.mode) for s in self.known}
