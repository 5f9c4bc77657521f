"""RouteActor: the owner of one row of the registry: its revision, and the handle of its backend.

Key: the row's (kind, tenant, env, project, mode), where tenant, env and project may be wild; every
scope that a row serves is served by its one actor. A change of the registry makes it open the new
backend and swap the handle between two turns (ACK); when that fails it keeps the last good one and
says why (NACK), until the row is changed again. Source: DESIGN decision 11, CARD-04, Q10.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, Literal, TypeVar

from eventspine.contracts.backends import Backends
from eventspine.contracts.circuit import CircuitHealth
from eventspine.contracts.errors import NoRouteConfigured
from eventspine.contracts.route import ResourceRoute, RouteKey
from eventspine.contracts.route_change import RouteHealth
from eventspine.runtime.directory import Directory
from eventspine.runtime.limits import DirectoryLimits

log = logging.getLogger(__name__)
H = TypeVar("H")
T = TypeVar("T")
_SEPARATOR = "\x1f"  # a control character, which no id may hold


class RouteActor(Generic[H]):
    """The handle in use, and the row that it was opened for."""

    __slots__ = ("handle", "route")

    def __init__(self, route: ResourceRoute, handle: H) -> None:
        self.route = route
        self.handle = handle


class RouteActors(Generic[H]):
    """The directory of RouteActors.

    Args:
        find: the registry's row of exactly a key, or None.
        backends: opens what a row names.
        circuit: what is known of the health of an open backend.
    """

    def __init__(
        self,
        find: Callable[[RouteKey], ResourceRoute | None],
        backends: Backends[H],
        circuit: Callable[[H], CircuitHealth | None] = lambda handle: None,
    ) -> None:
        self._find = find
        self._circuit = circuit
        self._backends = backends
        self._failed: dict[RouteKey, str] = {}
        self.directory: Directory[RouteActor[H]] = Directory(
            "routes", self._activate, limits=DirectoryLimits(waiters_max=10_000, turn_wait_s=30.0)
        )

    async def resolve(self, key: RouteKey) -> RouteActor[H]:
        """The active owner of a row, by the key of the row.

        Raises:
            NoRouteConfigured: the registry has no such row (R-01).
        """
        return await self.directory.turn(_name(key), _itself)

    async def during(self, key: RouteKey, work: Callable[[RouteActor[H]], Awaitable[T]]) -> T:
        """Run `work` in the turn of a row's owner: whoever resolves the row waits for its end."""
        return await self.directory.control(_name(key), work)

    async def open(self, route: ResourceRoute) -> H:
        """The open backend of what a row could say."""
        return await self._backends.open(route)

    async def changed(self, key: RouteKey) -> RouteHealth:
        """The registry has changed this row: open what it names now, then swap. ACK or NACK."""
        name = _name(key)
        if self._find(key) is None:
            self._failed.pop(key, None)
            self.directory.reset(name, "the route was deleted")
            return RouteHealth(state="unused")
        try:
            await self.directory.control(name, self._swap)
        except Exception as error:
            self._failed[key] = self._reason(key, error)
        if key in self._failed:
            log.warning("route %s: %s", "/".join(key), self._failed[key])
        return self.health(key)

    def handle(self, key: RouteKey) -> H | None:
        """The backend in use for a row; None before anybody has asked for it."""
        actor = self.directory.peek(_name(key))
        return None if actor is None else actor.handle

    def health(self, key: RouteKey) -> RouteHealth:
        """Which revision of a row is in use, and what is wrong with a newer one."""
        actor = self.directory.peek(_name(key))
        serving = None if actor is None else actor.route.revision
        circuit = None if actor is None else self._circuit(actor.handle)
        reason = self._failed.get(key)
        if reason is not None:
            return RouteHealth(
                state="stale", serving_revision=serving, reason=reason, circuit=circuit
            )
        state: Literal["serving", "unused"] = "unused" if actor is None else "serving"
        return RouteHealth(state=state, serving_revision=serving, circuit=circuit)

    def stale(self) -> dict[RouteKey, str]:
        """Rows whose newest revision could not be opened, and why."""
        return dict(self._failed)

    async def _activate(self, name: str) -> RouteActor[H]:
        key = RouteKey(*name.split(_SEPARATOR))
        route = self._find(key)
        if route is None:
            raise NoRouteConfigured(key.resource_kind, **key._asdict())
        try:
            handle = await self._backends.open(route)
        except Exception as error:
            self._failed[key] = self._reason(key, error)
            raise
        self._failed.pop(key, None)
        return RouteActor(route, handle)

    async def _swap(self, actor: RouteActor[H]) -> None:
        key = actor.route.key
        route = self._find(key)
        if route is None or route.revision == actor.route.revision:
            return
        try:
            handle = await self._backends.open(route)
        except Exception as error:
            self._failed[key] = self._reason(key, error)
            return
        actor.route, actor.handle = route, handle
        self._failed.pop(key, None)

    def _reason(self, key: RouteKey, error: Exception) -> str:
        route = self._find(key)
        revision = "" if route is None else f"revision {route.revision} "
        return f"{revision}could not be opened: {error}"


def _name(key: RouteKey) -> str:
    return _SEPARATOR.join(key)


async def _itself(actor: RouteActor[H]) -> RouteActor[H]:
    return actor
