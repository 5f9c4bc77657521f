"""Spine: what a program calls. The same operations for an embedding process and the HTTP front.

Every operation takes a RequestContext (R-08). The route of its scope is resolved once and kept
until the registry changes it; after that an operation costs a dictionary look-up to get to its
actor. Source: DESIGN decisions 7, 8, 10; FN-01, FN-02.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActors
from eventspine.contracts.answers import Head
from eventspine.contracts.context import RequestContext
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.settings import Settings
from eventspine.runtime.tree import SupervisorTree
from eventspine.services.analytics.compaction import Compaction
from eventspine.services.analytics.room import AnalyticsRoom
from eventspine.services.analytics.service import DEFAULT_DATASET, AnalyticsStoreService
from eventspine.services.appending import Appending
from eventspine.services.audit import Audit
from eventspine.services.audit_found import finders_of_routes, finders_of_streams
from eventspine.services.audit_mutations import Change, recorded
from eventspine.services.audit_outcomes import LostOutcomes
from eventspine.services.bindings import Binding, Bindings
from eventspine.services.budget import BudgetStoreService
from eventspine.services.budget_policy import BudgetPolicyRepo, policies_of
from eventspine.services.journals import Journals
from eventspine.services.memory import DEFAULT_NAMESPACE, MemoryStoreService
from eventspine.services.memory_expiry import MemoryExpiry
from eventspine.services.memory_tenants import MemoryTenants
from eventspine.services.metrics import MetricsStoreService
from eventspine.services.object_scope import ObjectScope
from eventspine.services.object_shelves import Shelves
from eventspine.services.objects import ObjectStoreService
from eventspine.services.policy_limits import PolicyLimits
from eventspine.services.reading import Reading
from eventspine.services.routing.audited import RoutingAudit
from eventspine.services.routing.edits import RouteEdits
from eventspine.services.routing.health import HealthWatch
from eventspine.services.routing.service import RouteService
from eventspine.services.routing.tenant import TenantRoutes
from eventspine.services.statistics import SpineStatistics
from eventspine.services.switching.service import Switches
from eventspine.services.tabular import TabularStoreService
from eventspine.services.upload_expiry import UploadExpiry
from eventspine.services.upload_grants import SigningKey, UploadGrant, in_memory_key
from eventspine.services.upload_keys import UploadKeys
from eventspine.services.vector_indexes import VectorIndexes
from eventspine.services.vectors import VectorStoreService

T = TypeVar("T")


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
        self._policies = PolicyLimits(self._journals, routes)
        self._shelves = Shelves(self._journals)
        analytics = Bindings(routes, actors, ResourceKind.ANALYTICS_STORE)
        self.analytics_room = AnalyticsRoom(analytics, settings.limits)
        self.analytics_compaction = Compaction(self.analytics_room)
        self.upload_expiry = UploadExpiry(self._journals, self._shelves, settings.limits)
        self.vector_indexes = VectorIndexes(self._journals, settings.limits)
        self.signing_key: SigningKey = in_memory_key()
        self.route_edits: RouteEdits | None = None  # bootstrap's, where routes are in files
        own_key = lambda: self.signing_key()  # noqa: E731, PLW0108 - bootstrap replaces it later
        self._upload_keys = UploadKeys(own_key, self._journals, hosts)
        self._memory_tenants = MemoryTenants(self._journals, routes, actors, settings.limits)
        self.memory_expiry = MemoryExpiry(
            self._journals, self._memory_tenants, self.append_batch, settings.limits
        )
        self.known_bindings = bindings.known if settings.native else None
        self.routes = routes
        self._hosts = hosts
        self.switches = Switches(routes, actors, settings.limits)
        self.health = HealthWatch(routes, actors, settings.routing)
        self.audit = Audit(self.append_batch, settings.audit, self._journals.now_s)
        self._journals.audit = self.analytics_room.audit = self.audit
        finders = {**finders_of_streams(self.head), **finders_of_routes(routes.history)}
        self.lost_outcomes = LostOutcomes(self, self.audit.write, finders)
        self.audit.first_use = self.lost_outcomes.first_use
        self.routing_audit = RoutingAudit(self.audit, routes)
        self.health.told = self.routing_audit.health_changed
        routes.audit, routes.looked_up = self.routing_audit, self.routing_audit.looked_up
        self._tree = tree
        self.announce: Callable[[str | None], None] = lambda url: None
        self._draining = False

    # --- other kinds of store ---

    def tables(self, context: RequestContext) -> TabularStoreService:
        """The tables of the context's scope (KIND-03)."""
        return TabularStoreService(context, self._journals, self.settings.limits)

    def budget(self, context: RequestContext) -> BudgetStoreService:
        """The usage ledger of the context's scope (KIND-05)."""
        limits, policies = self.settings.limits, self._policies
        return BudgetStoreService(context, self._journals, limits, self.append, policies)

    def budget_policies(self, context: RequestContext) -> BudgetPolicyRepo:
        """The budget policies of the context's env, mode and project, kept by the system tenant."""
        return policies_of(self.tables, context)

    def memory(
        self, context: RequestContext, namespace: str = DEFAULT_NAMESPACE
    ) -> MemoryStoreService:
        """A namespace of the session memory of the context's scope (KIND-06)."""
        limits = self.settings.limits
        tenants, expiry = self._memory_tenants, self.memory_expiry
        return MemoryStoreService(context, namespace, self._journals, tenants, expiry, limits)

    def analytics(
        self, context: RequestContext, dataset: str = DEFAULT_DATASET
    ) -> AnalyticsStoreService:
        """A dataset of the analytics events of the context's scope (KIND-04)."""
        room, compaction = self.analytics_room, self.analytics_compaction
        return AnalyticsStoreService(context, dataset, room, compaction)

    def metrics_store(self, context: RequestContext) -> MetricsStoreService:
        """The metrics of the context's scope (KIND-10)."""
        return MetricsStoreService(context, self._journals, self.settings.limits)

    def objects(self, context: RequestContext) -> ObjectStoreService:
        """The objects of the context's scope (KIND-04)."""
        limits, key = self.settings.limits, self._upload_keys.of(context)
        return ObjectStoreService(ObjectScope(context, self._journals, self._shelves, limits, key))

    async def upload_grant(self, token: str) -> UploadGrant:
        """What a signed upload address allows. Raises UploadRefused."""
        return await self._upload_keys.grant(token)

    def vectors(self, context: RequestContext) -> VectorStoreService:
        """The collections of vectors of the context's scope (KIND-08)."""
        limits = self.settings.limits
        return VectorStoreService(context, self._journals, self.vector_indexes, limits)

    def tenant_routes(self, context: RequestContext) -> TenantRoutes:
        """What the context's tenant may see and choose of the routes of its scope."""
        editable = self.settings.routing.tenant_editable
        return TenantRoutes(context, self.routes, editable=editable)

    # --- end ---

    async def close_stream(self, stream_id: str, context: RequestContext) -> Head:
        """End of stream: it takes no further event, stays readable, and its readers end."""

        async def work(at: Binding) -> Head:
            return await at.host.close_stream(at.place(stream_id).key, context.mode)

        return await self._changed("stream.close", stream_id, context, work)

    async def delete_stream(self, stream_id: str, context: RequestContext) -> None:
        """Delete every event of the stream. Its cursors are gone for ever; its id is free."""

        async def work(at: Binding) -> None:
            await at.host.delete_stream(at.place(stream_id).key, context.mode)

        await self._changed("stream.delete", stream_id, context, work)

    async def _changed(
        self,
        action: str,
        stream_id: str,
        context: RequestContext,
        work: Callable[[Binding], Awaitable[T]],
    ) -> T:
        """A change of a stream that is no append, which would be its own record."""

        async def place() -> None:
            (await self._bindings.of(context.scope)).place(stream_id)

        change = Change(ResourceKind.EVENT_STREAM.value, action, {"stream_id": stream_id})
        do = partial(self._bindings.at_its_host, context.scope, work)
        return await recorded(self.audit, context, change, place, do)

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
            host.name: {
                "ok": host.store is not None and not host.health.refuses,
                "detail": host.outage or host.health.detail,
                "circuit": host.health.shown().model_dump(),
            }
            for host in sorted(self._hosts, key=lambda host: host.name)
        }
        if self._draining:
            checks["process"] = {"ok": False, "detail": "draining"}
        for key, reason in sorted(self.routes.stale().items()):
            # what it served before it still serves, so this takes nobody out of service
            checks[f"route {'/'.join(key)}"] = {"ok": True, "detail": f"stale: {reason}"}
        for name, reason in sorted(self.routes.files.items()):
            checks[f"routes in {name}"] = {"ok": True, "detail": reason}
        return {"ready": all(check["ok"] for check in checks.values()), "checks": checks}

    def tree(self) -> SupervisorTree:
        """The supervisor tree: states, restarts with causes, budgets left."""
        return self._tree()

    def statistics(self) -> SpineStatistics:
        return SpineStatistics.of(
            self._hosts,
            self._tree(),
            self.routes.list(),
            len(self.routes.stale()),
            self.health.routes_by_state(),
            len(self.routes.files),
            self.audit.statistics(),
            self.switches.statistics(),
        )
