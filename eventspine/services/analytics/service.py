"""AnalyticsStoreService: events in, answers out. Source: KIND-04, SYS-15.

    analytics = spine.analytics(context)
    await analytics.ingest([{"event": "page_view", "user_id": "u1", "properties": {"path": "/"}}])
    await analytics.query({"events": ["page_view"], "bucket": "day", "group_by": ["path"]})
    await analytics.funnel({"steps": [{"event": "page_view"}, {"event": "purchase"}]})

A dataset is a stream of events of its own: numbered, idempotent by event id for ever, durable when
answered, and never in memory as a whole. A question sees everything acknowledged before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from anyio.lowlevel import checkpoint

from eventspine.actors.host import Request
from eventspine.contracts.analytics_event import (
    AnalyticsEvent,
    Ingested,
    drafts_of,
    event_of,
    parse_events,
)
from eventspine.contracts.analytics_query import (
    ROWS_DEFAULT,
    Answer,
    Attribution,
    Funnel,
    Query,
    Retention,
    asked,
)
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import BackendError, InvalidAnalyticsEvent, OwnerError, TooLarge
from eventspine.contracts.ids import checked_id
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.wire import Draft, WallClock
from eventspine.services.analytics import attribution as attributions
from eventspine.services.analytics import funnel as funnels
from eventspine.services.analytics import grouping
from eventspine.services.analytics import retention as retentions
from eventspine.services.analytics.compaction import Compaction
from eventspine.services.analytics.room import AnalyticsRoom, Found
from eventspine.services.analytics.sql import Statement
from eventspine.services.audit_mutations import Change, recorded
from eventspine.services.bindings import Binding
from eventspine.services.envelope import name_events, stamp_of

DEFAULT_DATASET = "events"


class AnalyticsStoreService:
    """One dataset of one scope. Made by `Spine.analytics(context, dataset)`."""

    def __init__(
        self, context: RequestContext, dataset: str, room: AnalyticsRoom, compaction: Compaction
    ) -> None:
        self._context = context
        self._dataset = checked_id(dataset, "dataset")
        self._room = room
        self._compaction = compaction
        self._limits = room.limits
        self._clock = WallClock()

    # --- events in ---

    async def ingest(
        self,
        events: Sequence[AnalyticsEvent | Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> Ingested:
        """Store events, all of them or none; answered when they are on disk.

        Args:
            idempotency_key: makes the ids of events that state none.

        Raises:
            InvalidAnalyticsEvent, InvalidId, TooLarge: nothing was stored.
            EventConflict: an event id is taken by another event.
            OutcomeUnknown: the backend failed on the way; send the same event ids again.
        """
        return await self._ingest([event_of(event) for event in events], idempotency_key)

    async def ingest_json(
        self, body: bytes, *, ndjson: bool = False, idempotency_key: str | None = None
    ) -> Ingested:
        """Store what a body holds: one event, an array, or NDJSON. See `ingest`."""
        return await self._ingest(parse_events(body, ndjson=ndjson), idempotency_key)

    async def _ingest(self, events: Sequence[AnalyticsEvent], key: str | None) -> Ingested:
        if not events:
            raise InvalidAnalyticsEvent("there is no event in the request")
        self._check("batch_events_max", len(events), "events at once")
        drafts = drafts_of(events, self._limits.analytics_properties_max)
        if key is not None:
            name_events(drafts, key)
        told = {"dataset": self._dataset, "events": len(drafts)}
        change = Change(ResourceKind.ANALYTICS_STORE.value, "analytics.ingest", told)
        place = partial(self._room.bindings.of, self._context.scope)
        work = partial(self._store, drafts)
        return await recorded(self._room.audit, self._context, change, place, work)

    async def _store(self, drafts: list[Draft]) -> Ingested:
        work = partial(self._store_at, drafts)
        return await self._room.bindings.at_its_host(self._context.scope, work)

    async def _store_at(self, drafts: list[Draft], binding: Binding) -> Ingested:
        place = binding.place(self._dataset)
        request = Request(drafts, stamp_of(self._context), self._clock.read(), place.address, None)
        try:
            appended = await binding.host.append(place.key, request)
        except (BackendError, OwnerError):
            await checkpoint()  # who tries again at once must let others run
            raise
        stored = len(drafts) - appended.duplicates
        self._compaction.came(binding.host, place.key, self._context.mode, stored)
        return Ingested(stored, appended.duplicates, str(appended.head))

    # --- answers out ---

    async def query(self, question: Query | Mapping[str, Any] | bytes) -> Answer:
        """Rows of groups and measures. See contracts/analytics_query.py for what can be asked.

        Raises:
            InvalidRequest: it cannot be asked. TooLarge: for so many rows.
            QueryTooExpensive: it takes too long, or too much memory.
            ExtraMissing: the extra `analytics` is not installed.
        """
        query = asked(Query, question)
        limit = self._rows(query.limit)
        found = await self._ask(grouping.statement(query, limit))
        rows = grouping.rows(query, found.rows[:limit])
        return Answer(
            columns=query.columns, rows=rows, more=len(found.rows) > limit, head=found.head
        )

    async def funnel(self, question: Funnel | Mapping[str, Any] | bytes) -> Answer:
        """How many people take steps in order, as a whole or by a first value. Raises as `query`.

        The limit counts groups; each has a row for every step.
        """
        funnel = asked(Funnel, question)
        limit = self._rows(funnel.limit)
        found = await self._ask(funnels.statement(funnel, limit))
        rows = funnels.rows(funnel, found.rows[:limit])
        columns = funnels.columns(funnel)
        return Answer(columns=columns, rows=rows, more=len(found.rows) > limit, head=found.head)

    async def retention(self, question: Retention | Mapping[str, Any] | bytes) -> Answer:
        """How many of those who began in a period came back in later ones. Raises as `query`."""
        retention = asked(Retention, question)
        limit = self._rows(retention.limit)
        found = await self._ask(retentions.statement(retention, limit))
        rows = retentions.rows(retention, found.rows)
        columns = retentions.columns(retention)
        return Answer(columns=columns, rows=rows[:limit], more=len(rows) > limit, head=found.head)

    async def attribution(self, question: Attribution | Mapping[str, Any] | bytes) -> Answer:
        """Which values of touches conversions are owed to, and how much. Raises as `query`."""
        attribution = asked(Attribution, question)
        limit = self._rows(attribution.limit)
        found = await self._ask(attributions.statement(attribution, limit))
        rows = attributions.rows(attribution, found.rows[:limit])
        columns = attributions.columns(attribution)
        return Answer(columns=columns, rows=rows, more=len(found.rows) > limit, head=found.head)

    async def compact(self) -> int:
        """Put cold events aside as Parquet, as happens by itself. How many that are now.

        Raises as `query`.
        """
        binding = await self._room.bindings.of(self._context.scope)
        key = binding.place(self._dataset).key
        return await self._room.compact(binding.host, key, self._context.mode)

    async def _ask(self, statement: Statement) -> Found:
        binding = await self._room.bindings.of(self._context.scope)
        key = binding.place(self._dataset).key
        return await self._room.ask(binding.host, key, self._context.mode, statement)

    def _rows(self, limit: int | None) -> int:
        most = self._limits.analytics_rows_max
        if limit is None:
            return min(ROWS_DEFAULT, most)
        self._check("analytics_rows_max", limit, "rows in one answer")
        return limit

    def _check(self, limit: str, actual: int, what: str) -> None:
        maximum: int = getattr(self._limits, limit)
        if actual > maximum:
            raise TooLarge(f"{actual} {what}", limit=limit, maximum=maximum, actual=actual)
