"""RouteActor: the owner of one route: its revision, and the handle of the backend it leads to.

Key (kind, tenant, env, project, mode). A change of the registry makes it open the new backend and
swap the handle between two turns; when that fails it keeps the last good one and says so.
Source: DESIGN decision 11, CARD-04.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from eventspine.contracts.backends import Backends
from eventspine.contracts.errors import NoRouteConfigured
from eventspine.contracts.route import ResourceRoute, RouteKey
from eventspine.runtime.directory import Directory
from eventspine.runtime.limits import DirectoryLimits

log = logging.getLogger(__name__)
H = TypeVar("H")
_SEPARATOR = "\x1f"  # a control character, which no id may hold


class RouteActor(Generic[H]):
    """`stale` holds the reason when the registry's newest route could not be opened."""

    __slots__ = ("handle", "route", "stale")

    def __init__(self, route: ResourceRoute, handle: H) -> None:
        self.route = route
        self.handle = handle
        self.stale: str | None = None


class RouteActors(Generic[H]):
    """The directory of RouteActors.

    Args:
        find: the registry's route of a key, or None.
        backends: opens what a route names.
    """

    def __init__(
        self, find: Callable[[RouteKey], ResourceRoute | None], backends: Backends[H]
    ) -> None:
        self._find = find
        self._backends = backends
        self.directory: Directory[RouteActor[H]] = Directory(
            "routes", self._activate, limits=DirectoryLimits(waiters_max=10_000, turn_wait_s=30.0)
        )

    async def resolve(self, key: RouteKey) -> RouteActor[H]:
        """The active owner of a route.

        Raises:
            NoRouteConfigured: the registry has no such route (R-01).
        """
        return await self.directory.turn(_name(key), _itself)

    async def changed(self, key: RouteKey) -> None:
        """The registry has changed this route: open what it names now, then swap."""
        name = _name(key)
        if self._find(key) is None:
            self.directory.reset(name, "the route was deleted")
        elif self.directory.incarnation(name) is not None:
            await self.directory.control(name, self._swap)

    async def _activate(self, name: str) -> RouteActor[H]:
        key = RouteKey(*name.split(_SEPARATOR))
        route = self._find(key)
        if route is None:
            raise NoRouteConfigured(key.resource_kind, **key._asdict())
        return RouteActor(route, await self._backends.open(route))

    async def _swap(self, actor: RouteActor[H]) -> None:
        route = self._find(actor.route.key)
        if route is None or route.revision == actor.route.revision:
            return
        try:
            handle = await self._backends.open(route)
        except Exception as error:
            actor.stale = f"revision {route.revision} could not be opened: {error}"
            log.warning("route %s: %s", tuple(route.key), actor.stale)
            return
        actor.route, actor.handle, actor.stale = route, handle, None


def _name(key: RouteKey) -> str:
    return _SEPARATOR.join(key)


async def _itself(actor: RouteActor[H]) -> RouteActor[H]:
    return actor
