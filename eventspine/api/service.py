"""What the HTTP front is handed: the part of the service it calls.

`eventspine.services.spine.Spine` has this shape; nothing in api/ needs more of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from eventspine.actors.told import Done
from eventspine.contracts.answers import Appended, EndReason, Head, Page, Selection, TailSlice
from eventspine.contracts.context import RequestContext
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.settings import Settings
from eventspine.contracts.stream_filter import StreamFilter
from eventspine.runtime.tree import SupervisorTree
from eventspine.services.analytics.service import AnalyticsStoreService
from eventspine.services.audit import Audit
from eventspine.services.budget import BudgetStoreService
from eventspine.services.budget_policy import BudgetPolicyRepo
from eventspine.services.memory import MemoryStoreService
from eventspine.services.metrics import MetricsStoreService
from eventspine.services.objects import ObjectStoreService
from eventspine.services.routing.service import RouteService
from eventspine.services.routing.tenant import TenantRoutes
from eventspine.services.sender import Sender
from eventspine.services.switching.service import Switches
from eventspine.services.tabular import TabularStoreService
from eventspine.services.upload_grants import UploadGrant
from eventspine.services.vectors import VectorStoreService


class Sink(Protocol):
    """Takes a slice at once, or answers False: then the reader is woken and pulls."""

    def take(self, piece: TailSlice) -> bool: ...


class Subscription(Protocol):
    """A reader of one stream. `next` answers None when a heartbeat is due."""

    @property
    def ended(self) -> EndReason | None: ...
    @property
    def cursor(self) -> Cursor: ...
    def push_into(self, sink: Sink) -> None: ...
    async def next(self) -> TailSlice | None: ...
    async def aclose(self) -> None: ...


class SpineService(Protocol):
    @property
    def audit(self) -> Audit: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def routes(self) -> RouteService: ...
    @property
    def switches(self) -> Switches: ...
    async def append_json(
        self,
        stream_id: str,
        body: bytes,
        context: RequestContext,
        *,
        ndjson: bool = False,
        idempotency_key: str | None = None,
        expected: str | None = None,
    ) -> Appended: ...
    @property
    def known_bindings(self) -> dict[Any, Any] | None:
        """Scopes whose backend is known, for the compiled lane; None: it is not to be used."""
        ...

    def append_json_soon(
        self,
        stream_id: str,
        body: bytes,
        sender: Sender,
        request_id: str,
        done: Done,
        *,
        ndjson: bool = False,
        idempotency_key: str | None = None,
        expected: str | None = None,
    ) -> bool: ...
    async def list_after(
        self,
        stream_id: str,
        after: str | None,
        context: RequestContext,
        *,
        before: str | None = None,
        limit: int | None = None,
        wait_s: float = 0.0,
    ) -> Page: ...
    def list_after_now(
        self, stream_id: str, after: str | None, context: RequestContext, *, limit: int | None
    ) -> Page | None: ...
    async def query(
        self,
        stream_id: str,
        wanted: StreamFilter,
        context: RequestContext,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> Selection: ...
    async def head(self, stream_id: str, context: RequestContext) -> Head: ...
    async def subscribe(
        self, stream_id: str, context: RequestContext, after: str | None = None
    ) -> Subscription: ...
    async def close_stream(self, stream_id: str, context: RequestContext) -> Head: ...
    async def delete_stream(self, stream_id: str, context: RequestContext) -> None: ...
    def analytics(self, context: RequestContext, dataset: str = ...) -> AnalyticsStoreService: ...
    def metrics_store(self, context: RequestContext) -> MetricsStoreService: ...
    def objects(self, context: RequestContext) -> ObjectStoreService: ...
    async def upload_grant(self, token: str) -> UploadGrant: ...
    def tables(self, context: RequestContext) -> TabularStoreService: ...
    def vectors(self, context: RequestContext) -> VectorStoreService: ...
    def tenant_routes(self, context: RequestContext) -> TenantRoutes: ...
    def budget(self, context: RequestContext) -> BudgetStoreService: ...
    def budget_policies(self, context: RequestContext) -> BudgetPolicyRepo: ...
    def memory(self, context: RequestContext, namespace: str = ...) -> MemoryStoreService: ...
    def statistics(self) -> Any: ...
    def tree(self) -> SupervisorTree: ...
    def ready(self) -> Mapping[str, Any]: ...
