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
from eventspine.services.budget import BudgetStoreService
from eventspine.services.budget_policy import BudgetPolicyRepo, policies_of
from eventspine.services.journals import Journals
from eventspine.services.memory import DEFAULT_NAMESPACE, MemoryStoreService
from eventspine.services.memory_expiry import MemoryExpiry
from eventspine.services.metrics import MetricsStoreService
from eventspine.services.object_shelf import Shelves
from eventspine.services.objects import ObjectStoreService
from eventspine.services.reading import Reading
from eventspine.services.routing.service import RouteService
from eventspine.services.statistics import SpineStatistics
from eventspine.services.tabular import TabularStoreService
from eventspine.services.upload_grants import SigningKey, UploadGrant, grant_of, in_memory_key
from eventspine.services.vectors import VectorStoreService


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
        routes.owned_by(actors)
        bindings = Bindings(routes, actors)
        Appending.__init__(self, bindings, settings.limits)
        Reading.__init__(self, bindings, settings.limits)
        self.settings = settings
        self._journals = Journals(routes, actors)
        self._shelves = Shelves(self._journals)
        self.signing_key: SigningKey = in_memory_key()
        self.memory_expiry = MemoryExpiry(self._journals, self.append_batch, settings.limits)
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

    def budget(self, context: RequestContext) -> BudgetStoreService:
        """The usage ledger of the context's scope (KIND-05)."""
        return BudgetStoreService(context, self._journals, self.settings.limits, self.append)

    def budget_policies(self, context: RequestContext) -> BudgetPolicyRepo:
        """The budget policies of the context's env, mode and project, kept by the system tenant."""
        return policies_of(self.tables, context)

    def memory(
        self, context: RequestContext, namespace: str = DEFAULT_NAMESPACE
    ) -> MemoryStoreService:
        """A namespace of the session memory of the context's scope (KIND-06)."""
        limits = self.settings.limits
        return MemoryStoreService(context, namespace, self._journals, self.memory_expiry, limits)

    def metrics_store(self, context: RequestContext) -> MetricsStoreService:
        """The metrics of the context's scope (KIND-10)."""
        return MetricsStoreService(context, self._journals, self.settings.limits)

    def objects(self, context: RequestContext) -> ObjectStoreService:
        """The objects of the context's scope (KIND-04)."""
        limits = self.settings.limits
        return ObjectStoreService(context, self._journals, self._shelves, limits, self.signing_key)

    async def upload_grant(self, token: str) -> UploadGrant:
        """What a signed upload address allows. Raises UploadRefused."""
        return grant_of(token, await self.signing_key(), self._journals.now_s())

    def vectors(self, context: RequestContext) -> VectorStoreService:
        """The collections of vectors of the context's scope (KIND-08)."""
        return VectorStoreService(context, self._journals, self.settings.limits)

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
        self.routes.history.end()
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
        for key, reason in sorted(self.routes.stale().items()):
            # what it served before it still serves, so this takes nobody out of service
            checks[f"route {'/'.join(key)}"] = {"ok": True, "detail": f"stale: {reason}"}
        return {"ready": all(check["ok"] for check in checks.values()), "checks": checks}

    def tree(self) -> SupervisorTree:
        """The supervisor tree: states, restarts with causes, budgets left."""
        return self._tree()

    def statistics(self) -> SpineStatistics:
        return SpineStatistics.of(
            self._hosts, self._tree(), self.routes.list(), len(self.routes.stale())
        )
