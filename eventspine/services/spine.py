"""Spine: what a program calls. The same operations for an embedding process and the HTTP front.

Every operation takes a RequestContext (R-08). The route of its scope is resolved once and kept
until the registry changes it; after that an operation costs a dictionary look-up to get to its
actor. Source: DESIGN decisions 7, 8, 10; FN-01, FN-02.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActors
from eventspine.contracts.answers import Head
from eventspine.contracts.context import RequestContext
from eventspine.contracts.settings import Settings
from eventspine.runtime.tree import SupervisorTree
from eventspine.services.appending import Appending
from eventspine.services.bindings import Bindings
from eventspine.services.journals import Journals
from eventspine.services.reading import Reading
from eventspine.services.routes import RouteService
from eventspine.services.statistics import SpineStatistics
from eventspine.services.tabular import TabularStoreService


class Spine(Appending, Reading):
    """All streams of one root. Made by `eventspine.open`; lives inside its `async with`."""

    def __init__(
        self,
        settings: Settings,
        routes: RouteService,
        actors: RouteActors[StreamHost],
        hosts: Sequence[StreamHost],
        tree: Callable[[], SupervisorTree],
    ) -> None:
        bindings = Bindings(routes, actors)
        Appending.__init__(self, bindings, settings.limits)
        Reading.__init__(self, bindings, settings.limits)
        self.settings = settings
        self._journals = Journals(routes, actors)
        self.known_bindings = bindings.known if settings.native else None
        self.routes = routes
        self._hosts = hosts
        self._tree = tree
        self.announce: Callable[[str | None], None] = lambda url: None
        self._draining = False

    # --- other kinds of store ---

    def tables(self, context: RequestContext) -> TabularStoreService:
        """The tables of the context's scope (KIND-03)."""
        return TabularStoreService(context, self._journals, self.settings.limits)

    # --- end ---

    async def close_stream(self, stream_id: str, context: RequestContext) -> Head:
        """End of stream: it takes no further event, stays readable, and its readers end."""
        host, key = await self._locate(stream_id, context)
        return await host.close_stream(key, context.mode)

    async def delete_stream(self, stream_id: str, context: RequestContext) -> None:
        """Delete every event of the stream. Its cursors are gone for ever; its id is free."""
        host, key = await self._locate(stream_id, context)
        await host.delete_stream(key, context.mode)

    # --- the whole ---

    def drain(self) -> None:
        """Begin to stop: nothing new is taken, readers are told, accepted appends finish."""
        self._draining = True
        for host in self._hosts:
            host.drain()

    def ready(self) -> dict[str, Any]:
        """Whether every backend in use is open: `{"ready": …, "checks": {name: {ok, detail}}}`."""
        checks = {
            host.name: {"ok": host.store is not None, "detail": host.outage or "open"}
            for host in sorted(self._hosts, key=lambda host: host.name)
        }
        if self._draining:
            checks["process"] = {"ok": False, "detail": "draining"}
        return {"ready": all(check["ok"] for check in checks.values()), "checks": checks}

    def tree(self) -> SupervisorTree:
        """The supervisor tree: states, restarts with causes, budgets left."""
        return self._tree()

    def statistics(self) -> SpineStatistics:
        return SpineStatistics.of(self._hosts, self._tree(), self.routes.list())
