"""The services of the kinds of store, for code that is handed a context and no spine.

    from eventspine.stores import TabularStoreService

    tables = TabularStoreService(context)
    await tables.upsert("policies", "p1", {"limit": 5})

Each is that of the spine that runs in this process, the one opened last. Where there is one at
hand, `spine.tables(context)` and its like answer the same.
Source: CLS-09, CLS-14, CLS-15, CLS-20, CLS-22, FN-18 … FN-23.
"""

from __future__ import annotations

import warnings
from typing import Protocol

from eventspine.contracts.context import RequestContext
from eventspine.contracts.event import StreamEvent
from eventspine.contracts.route import ResourceKind, ResourceRoute
from eventspine.services.analytics.service import AnalyticsStoreService as _Analytics
from eventspine.services.budget import BudgetStoreService as _Budget
from eventspine.services.budget_policy import BudgetPolicyRepo
from eventspine.services.current import current_spine, routing_registry
from eventspine.services.envelope import Event
from eventspine.services.event_streams import EventStreamService as _Streams
from eventspine.services.kpi import FileKpiRepository, default_kpi_repo
from eventspine.services.memory import DEFAULT_NAMESPACE
from eventspine.services.memory import MemoryStoreService as _Memory
from eventspine.services.metrics import MetricsStoreService as _Metrics
from eventspine.services.objects import ObjectStoreService as _Objects
from eventspine.services.tabular import TabularStoreService as _Tables
from eventspine.services.vectors import VectorStoreService as _Vectors


class EventStreamService(_Streams):
    def __init__(self, context: RequestContext) -> None:
        super().__init__(current_spine(), context)


class TabularStoreService(_Tables):
    def __init__(self, context: RequestContext) -> None:
        _become(self, current_spine().tables(context))


class ObjectStoreService(_Objects):
    def __init__(self, context: RequestContext) -> None:
        _become(self, current_spine().objects(context))


class MetricsStoreService(_Metrics):
    def __init__(self, context: RequestContext) -> None:
        _become(self, current_spine().metrics_store(context))


class MemoryStoreService(_Memory):
    def __init__(self, context: RequestContext, namespace: str = DEFAULT_NAMESPACE) -> None:
        _become(self, current_spine().memory(context, namespace))


class BudgetStoreService(_Budget):
    def __init__(self, context: RequestContext) -> None:
        _become(self, current_spine().budget(context))


class AnalyticsStoreService(_Analytics):
    def __init__(self, context: RequestContext) -> None:
        _become(self, current_spine().analytics(context))


class VectorStoreService(_Vectors):
    def __init__(self, context: RequestContext) -> None:
        _become(self, current_spine().vectors(context))


class RawStorageService(ObjectStoreService):
    """The old name of ObjectStoreService. Deprecated."""

    def __init__(self, context: RequestContext) -> None:
        warnings.warn(
            "RawStorageService is ObjectStoreService now", DeprecationWarning, stacklevel=2
        )
        super().__init__(context)


def get_service(context: RequestContext) -> ObjectStoreService:
    """FN-21: the object store of a context."""
    return ObjectStoreService(context)


def get_budget_policy_repo(context: RequestContext) -> BudgetPolicyRepo:
    """FN-22: the budget policies that hold for a context, kept by the system tenant."""
    return current_spine().budget_policies(context)


def get_kpi_repo(context: RequestContext) -> FileKpiRepository:
    """FN-23: the KPIs of a context. Raises NoRouteConfigured."""
    return default_kpi_repo(current_spine(), context)


# --- the timeline -----------------------------------------------------------------------------


class TimelineStore(Protocol):
    """CLS-02: append and list_after, with the context in each call."""

    async def append(self, stream_id: str, event: Event, context: RequestContext) -> str: ...
    async def list_after(
        self, stream_id: str, after_event_id: str | None, context: RequestContext
    ) -> list[StreamEvent]: ...


class RoutedTimelineStore:
    """Wherever the route of kind `event_stream` leads, at every call (D5)."""

    async def append(self, stream_id: str, event: Event, context: RequestContext) -> str:
        """Append one event; answers its id when it is on disk (FN-01)."""
        appended = await current_spine().append(stream_id, event, context)
        return appended.event_id

    async def list_after(
        self, stream_id: str, after_event_id: str | None, context: RequestContext
    ) -> list[StreamEvent]:
        """Every event after one, or all of them; never a part of them (FN-02).

        Raises:
            CursorGone: the stream has no such event.
        """
        spine, events, at = current_spine(), list[StreamEvent](), after_event_id
        while True:
            page = await spine.list_after(stream_id, at, context)
            events += page.events
            at = str(page.next)
            if page.next >= page.head:
                return events


def get_timeline_store() -> TimelineStore:
    """FN-18, FN-19: the timeline; no environment variable has a say in it."""
    return RoutedTimelineStore()


def resolve_timeline_backend(context: RequestContext) -> TimelineStore:
    """FN-20: the timeline, if the context has a route to one. Raises NoRouteConfigured."""
    timeline_route(context)
    return RoutedTimelineStore()


def timeline_route(context: RequestContext) -> ResourceRoute:
    """The route that the timeline of a context takes."""
    return routing_registry(context).get_route(ResourceKind.EVENT_STREAM.value)


def _become(service: object, made: object) -> None:
    """The parts of a service are its spine's to choose: it is filled in with one that was made."""
    vars(service).update(vars(made))
