"""The endpoints of the analytics store: events in, questions.

A question is a POST because it has a body; it changes nothing. Who hangs up has it stopped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import negotiation, query
from eventspine.api.address import RawRoute
from eventspine.api.answer import NO_STORE, json_answer
from eventspine.api.body import read_body
from eventspine.api.call import Call
from eventspine.api.context import ContextReader
from eventspine.api.presence import while_connected
from eventspine.api.service import SpineService
from eventspine.contracts.analytics_query import Answer
from eventspine.services.analytics.service import AnalyticsStoreService


class AnalyticsEndpoints:
    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._spine = spine
        self._contexts = contexts
        self._body_bytes_max = spine.settings.limits.body_bytes_max

    def routes(self) -> list[BaseRoute]:
        at = "/v1/analytics/{dataset}"
        return [
            RawRoute(f"{at}/events", {"POST": self.ingest}),
            RawRoute(f"{at}/query", {"POST": self.query}),
            RawRoute(f"{at}/funnel", {"POST": self.funnel}),
            RawRoute(f"{at}/retention", {"POST": self.retention}),
            RawRoute(f"{at}/attribution", {"POST": self.attribution}),
        ]

    async def ingest(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        ndjson, key = negotiation.is_ndjson(call.fields), negotiation.idempotency_key(call.fields)
        analytics = self._analytics(call)
        body = await read_body(call.receive, call.fields, self._body_bytes_max)
        done = await analytics.ingest_json(body, ndjson=ndjson, idempotency_key=key)
        return json_answer(201 if done.stored else 200, done._asdict(), [NO_STORE])

    async def query(self, call: Call) -> ASGIApp:
        return await self._answered(call, self._analytics(call).query)

    async def funnel(self, call: Call) -> ASGIApp:
        return await self._answered(call, self._analytics(call).funnel)

    async def retention(self, call: Call) -> ASGIApp:
        return await self._answered(call, self._analytics(call).retention)

    async def attribution(self, call: Call) -> ASGIApp:
        return await self._answered(call, self._analytics(call).attribution)

    async def _answered(self, call: Call, ask: Callable[[bytes], Awaitable[Answer]]) -> ASGIApp:
        query.parsed(call.query, ())
        negotiation.require_json(call.fields)
        body = await read_body(call.receive, call.fields, self._body_bytes_max)

        async def work(_: anyio.CancelScope) -> Answer:
            return await ask(body)

        answer = await while_connected(call.receive, work)
        return json_answer(200, answer.model_dump(), [NO_STORE])

    def _analytics(self, call: Call) -> AnalyticsStoreService:
        context = self._contexts.read(call.fields, call.request_id)
        return self._spine.analytics(context, call.parameters["dataset"])
