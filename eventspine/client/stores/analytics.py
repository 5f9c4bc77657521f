"""The analytics of a server: events in, questions. The operations of AnalyticsStoreService.

Rule: every event has its id before the first try, so that a repeated one is the same one; with an
idempotency key the server makes the ids of the key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pydantic import BaseModel

from eventspine.client.event_ids import uuid7
from eventspine.client.stores.asking import JSON, AskStore, Headers, address, decoded, encoded
from eventspine.contracts.analytics_event import AnalyticsEvent, Ingested
from eventspine.contracts.analytics_query import Answer, Attribution, Funnel, Query, Retention


class _Ingested(msgspec.Struct):
    stored: int
    duplicates: int
    head: str


class _Answer(msgspec.Struct):
    columns: list[str]
    rows: list[list[Any]]
    more: bool
    head: str


class ClientAnalytics:
    """Made by `EventspineClient.analytics`: one dataset."""

    def __init__(self, ask: AskStore, dataset: str) -> None:
        self._ask = ask
        self._dataset = dataset

    async def ingest(
        self,
        events: Sequence[AnalyticsEvent | Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> Ingested:
        """Store events, all of them or none; answered when they are on disk.

        Raises:
            InvalidAnalyticsEvent, InvalidId, TooLarge: nothing was stored.
            EventConflict: an event id is taken by another event.
            ServerUnreachable: patience ran out; the events may be stored. With ids of your own, or
                a key, sending them again is safe.
        """
        body = [_named(one) if idempotency_key is None else one for one in events]
        headers: Headers = [JSON]
        if idempotency_key is not None:
            headers.append((b"Idempotency-Key", idempotency_key.encode()))
        path = address("analytics", self._dataset, "events")
        response = await self._ask("POST", path, content=encoded(body), headers=headers)
        return Ingested(*msgspec.structs.astuple(decoded(response, _Ingested)))

    async def query(self, question: Query | Mapping[str, Any]) -> Answer:
        """Rows of groups and measures. See ANALYTICS.md for what can be asked.

        Raises:
            InvalidRequest: it cannot be asked. TooLarge: for so many rows.
            QueryTooExpensive: it takes too long, or too much memory.
            ExtraMissing: the server lacks the extra `analytics`.
        """
        return await self._answer("query", question)

    async def funnel(self, question: Funnel | Mapping[str, Any]) -> Answer:
        """How many people take steps in order. Raises as `query`."""
        return await self._answer("funnel", question)

    async def retention(self, question: Retention | Mapping[str, Any]) -> Answer:
        """How many people come back. Raises as `query`."""
        return await self._answer("retention", question)

    async def attribution(self, question: Attribution | Mapping[str, Any]) -> Answer:
        """Which touches conversions are owed to. Raises as `query`."""
        return await self._answer("attribution", question)

    async def _answer(self, what: str, question: BaseModel | Mapping[str, Any]) -> Answer:
        if isinstance(question, BaseModel):
            stated = question.model_dump_json(by_alias=True, exclude_none=True).encode()
        else:
            stated = encoded(question)
        path = address("analytics", self._dataset, what)
        found = decoded(await self._ask("POST", path, content=stated, headers=[JSON]), _Answer)
        return Answer(columns=found.columns, rows=found.rows, more=found.more, head=found.head)


def _named(event: AnalyticsEvent | Mapping[str, Any]) -> AnalyticsEvent | dict[str, Any]:
    """The event with an id."""
    if isinstance(event, AnalyticsEvent):
        if event.event_id is not None:
            return event
        return msgspec.structs.replace(event, event_id=uuid7())
    if event.get("event_id") is not None:
        return dict(event)
    return {**event, "event_id": uuid7()}
