"""The analytics of a real server through the client, on asyncio, uvloop and trio."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import httpx
import pytest

from eventspine.client import EventspineClient, RetryPolicy
from eventspine.contracts.analytics_event import AnalyticsEvent
from eventspine.contracts.analytics_query import Query
from eventspine.contracts.errors import EventConflict, InvalidAnalyticsEvent, InvalidRequest
from tests.client.cutting import Cutting
from tests.client.serving import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
RETRY = RetryPolicy(patience_s=20, first_s=0.02, longest_s=0.2)
DAY = "2026-11-02T0{}:00:00Z"


@pytest.fixture
def name() -> str:
    return f"n-{uuid.uuid4()}"


async def test_events_and_questions(server: ServerProcess, name: str) -> None:
    async with EventspineClient(server.url, retry=RETRY) as client:
        analytics = client.analytics(name)
        done = await analytics.ingest(
            [
                {
                    "event": "view",
                    "user_id": "ann",
                    "time": DAY.format(1),
                    "properties": {"s": "x"},
                },
                {"event": "view", "user_id": "bob", "time": datetime(2026, 11, 2, 2, tzinfo=UTC)},
                AnalyticsEvent("buy", user_id="ann", properties={"price": 2.5}),
                AnalyticsEvent("buy", "order-1", user_id="bob", properties={"price": 4}),
            ]
        )
        assert (done.stored, done.duplicates) == (4, 0)
        price = {"measure": "sum", "property": "price", "as": "total"}
        answer = await analytics.query({"group_by": [{"field": "event"}], "measures": [price]})
        assert (answer.columns, answer.rows) == (["event", "total"], [["buy", 6.5], ["view", None]])
        assert (answer.more, answer.head) == (False, done.head)
        typed = Query.model_validate({"events": ["view"], "bucket": "day", "group_by": ["s"]})
        counted = await analytics.query(typed)
        assert counted.rows == [["2026-11-02T00:00:00Z", "x", 1], ["2026-11-02T00:00:00Z", None, 1]]
        steps = [{"event": "view"}, {"event": "buy"}]
        funnel = await analytics.funnel({"steps": steps, "window_s": 366 * 86_400})
        assert [row[2] for row in funnel.rows] == [2, 2]
        owed = await analytics.attribution(
            {"touch": steps[0], "conversion": steps[1], "by": "s", "window_s": 366 * 86_400}
        )
        assert owed.columns == ["s", "conversions"]
        back = await analytics.retention({"begin": steps[0], "back": steps[0], "periods": 1})
        assert back.rows == [["2026-11-02T00:00:00Z", 2, 2, 0]]
        with pytest.raises(InvalidRequest, match="may mean the event"):
            await analytics.query({"group_by": ["event"]})
        with pytest.raises(InvalidAnalyticsEvent):
            await analytics.ingest([{"event": "a", "properties": {"b": [1]}}])
        with pytest.raises(EventConflict):
            await analytics.ingest([{"event": "other", "event_id": "order-1"}])
        assert (await client.analytics().query({"fields": {"event": name}})).rows == [[0]]


async def test_what_is_sent_twice_counts_once(server: ServerProcess, name: str) -> None:
    transport = Cutting()
    async with (
        httpx.AsyncClient(transport=transport) as http,
        EventspineClient(server.url, retry=RETRY, http=http) as client,
    ):
        analytics = client.analytics(name)
        transport.losses = 2
        assert (await analytics.ingest([{"event": "a"}, {"event": "b"}])).duplicates == 2
        transport.losses = 1
        keyed = await analytics.ingest([{"event": "a"}], idempotency_key=name)
        assert (keyed.stored, keyed.duplicates) == (0, 1)
        again = await analytics.ingest([{"event": "a"}], idempotency_key=name)
        assert (again.duplicates, again.head) == (1, keyed.head)
        assert (await analytics.query({})).rows == [[3]]
