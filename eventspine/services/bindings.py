"""Bindings: scopes resolved to the backends their routes lead to, kept until a route changes.

Source: DESIGN decisions 8 and 10. After the first operation of a scope, resolving it again costs
one look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActors
from eventspine.contracts.audit import AUDIT_STREAM, AUDIT_SURFACE
from eventspine.contracts.context import Scope
from eventspine.contracts.errors import RouteMoved, StreamSealed
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.wire import encode_json
from eventspine.services.audit import is_unaudited
from eventspine.services.envelope import Place, place_of
from eventspine.services.resolved import MOVES_MAX, Resolved, routing_of, row_of
from eventspine.services.routing.service import RouteService

T = TypeVar("T")
PLACES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Binding:
    """A scope bound to the backend its route leads to, with what all its events have in common."""

    host: StreamHost
    prefix: str
    routing: Mapping[str, str]
    routing_json: bytes
    places: dict[str, Place] = field(default_factory=dict)
    sealed: str | None = None  # the stream that only the audit may write

    def place(self, stream_id: str) -> Place:
        """Where a stream of this scope is; worked out once for a stream in use.

        Raises:
            StreamSealed: it is the audit's; `place_to_read` answers that one too.
        """
        place = self.places.get(stream_id)
        if place is None:
            if stream_id == self.sealed:  # never in `places`, where every way of an append looks
                if is_unaudited():
                    return self.place_to_read(stream_id)
                raise StreamSealed(f"the stream {stream_id} is written by the audit alone")
            if len(self.places) >= PLACES_MAX:
                self.places.clear()
            place = self.places[stream_id] = place_of(stream_id, self.prefix, self.routing_json)
        return place

    def place_to_read(self, stream_id: str) -> Place:
        if stream_id == self.sealed:
            return place_of(stream_id, self.prefix, self.routing_json)
        return self.place(stream_id)


class Bindings:
    """`known` are those that hold now; `of` resolves any other."""

    def __init__(
        self,
        routes: RouteService,
        actors: RouteActors[StreamHost],
        kind: ResourceKind = ResourceKind.EVENT_STREAM,
    ) -> None:
        self._kind = kind.value
        self._resolved: Resolved[Scope, Binding] = Resolved(
            routes, actors, partial(row_of, kind.value)
        )
        self.known = self._resolved.known

    async def of(self, scope: Scope) -> Binding:
        """The binding of a scope. Raises what resolving its route raises."""
        return self.known.get(scope) or await self._bind(scope)

    async def _bind(self, scope: Scope) -> Binding:
        kind, generation = self._kind, self._resolved.generation
        owner = await self._resolved.owner(kind, scope)
        routing = routing_of(scope)
        prefix, json = f"{kind}/{scope.path}/", encode_json(routing)
        sealed = AUDIT_STREAM if scope.surface_id == AUDIT_SURFACE else None
        binding = Binding(owner.handle, prefix, routing, json, sealed=sealed)
        self._resolved.keep(scope, binding, generation)
        return binding

    async def at_its_host(self, scope: Scope, work: Callable[[Binding], Awaitable[T]]) -> T:
        """Do something at the scope's backend, or at the next one if it moves meanwhile.

        Raises what `work` raises; RouteMoved only when it moves again and again.
        """
        for _ in range(MOVES_MAX):
            try:
                return await work(await self.of(scope))
            except RouteMoved:
                continue  # since it was looked up: nothing was done
        return await work(await self.of(scope))
