"""Journals: the way from a request's scope to the journal it means, by way of the registry.

A scope's route is resolved once and kept until the registry changes; after that it costs one look
into a dictionary. Source: DESIGN decisions 8, 10 and 11.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple, TypeVar

from eventspine.actors.host import StreamHost
from eventspine.actors.journal import Origin
from eventspine.actors.journal_host import JournalHost
from eventspine.actors.route import RouteActors
from eventspine.contracts.context import RequestContext, Scope
from eventspine.contracts.errors import RouteMoved
from eventspine.contracts.ids import path_segment
from eventspine.contracts.journal import Decide, State
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.secrets import Secret
from eventspine.contracts.stores import StreamCommit
from eventspine.contracts.wire import WallClock, encode_json
from eventspine.services.audit import Audit
from eventspine.services.resolved import MOVES_MAX, Resolved, routing_of, row_of
from eventspine.services.routing.service import RouteService

ORIGINS_MAX = 1_000  # of a scope
S = TypeVar("S", bound=State[Any])
A = TypeVar("A")


class _Bound(NamedTuple):
    host: JournalHost[Any]
    prefix: str
    routing: bytes
    backend: StreamHost
    upload_key: Secret | None
    origins: dict[str, Origin]  # by name


class Journals:
    """The journals of all kinds, and the clock their records are dated by."""

    def __init__(self, routes: RouteService, actors: RouteActors[StreamHost]) -> None:
        self._resolved: Resolved[tuple[ResourceKind, Scope], _Bound] = Resolved(
            routes, actors, lambda key: row_of(key[0].value, key[1])
        )
        self._known = self._resolved.known
        self._clock = WallClock(time.time)
        self.audit: Audit | None = None

    def now(self) -> str:
        """The time of day, ISO 8601 in UTC with milliseconds."""
        return self._clock.read().ts.decode()

    def now_s(self) -> float:
        return self._clock.read().unix_ms / 1000

    async def ask(
        self,
        kind: ResourceKind,
        name: str,
        context: RequestContext,
        decide: Decide[S, A],
        blob: StreamCommit | None = None,
    ) -> A:
        """Decide on the journal `name` of a scope. Raises what resolving and deciding raise.

        Args:
            name: the last part of its key; one that clients choose is theirs to have checked.
            blob: bytes that the records name, if there are any: durable with them.
        """
        scope, moves = context.scope, 0
        while True:
            try:
                bound = self._known.get((kind, scope)) or await self._bind(kind, scope)
                origin = bound.origins.get(name) or _origin(bound, name, context.mode)
                return await bound.host.ask(origin, decide, blob)
            except RouteMoved:  # since it was looked up: nothing was decided
                moves += 1
                if moves > MOVES_MAX:
                    raise

    async def place(self, kind: ResourceKind, context: RequestContext) -> tuple[StreamHost, str]:
        """The backend of a scope, and what the keys of its journals begin with."""
        bound = self._known.get((kind, context.scope)) or await self._bind(kind, context.scope)
        return bound.backend, bound.prefix

    async def upload_key(self, context: RequestContext) -> Secret | None:
        """What the route of a scope's objects signs upload addresses with, if it names it."""
        kind, scope = ResourceKind.OBJECT_STORE, context.scope
        return (self._known.get((kind, scope)) or await self._bind(kind, scope)).upload_key

    async def _bind(self, kind: ResourceKind, scope: Scope) -> _Bound:
        generation = self._resolved.generation
        owner = await self._resolved.owner(kind.value, scope)
        host = owner.handle.journals[kind.value]
        prefix = f"{kind.value}/{scope.path}/"
        upload_key = owner.handle.upload_keys.get(owner.route.key)
        bound = _Bound(host, prefix, encode_json(routing_of(scope)), owner.handle, upload_key, {})
        self._resolved.keep((kind, scope), bound, generation)
        return bound


def _origin(bound: _Bound, name: str, mode: str) -> Origin:
    """Whose the journal of this name is; kept, since it costs more than most decisions."""
    members = b'"stream_id":%b,"routing":%b' % (encode_json(name), bound.routing)
    origin = Origin(bound.prefix + path_segment(name), mode, members)
    if len(bound.origins) >= ORIGINS_MAX:
        bound.origins.clear()
    bound.origins[name] = origin
    return origin
