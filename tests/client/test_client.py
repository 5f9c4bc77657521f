"""The client against a real server, on asyncio, uvloop and trio."""

from __future__ import annotations

import uuid
from contextlib import aclosing
from typing import Any

import anyio
import httpx
import pytest

from eventspine.client import End, EventspineClient, Gap, RetryPolicy, ServerUnreachable, TailEvent
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import (
    CursorGone,
    EventConflict,
    InvalidEvent,
    InvalidRequest,
    NoRouteConfigured,
    PreconditionFailed,
    RouteConflict,
    RouteNotFound,
    StreamClosed,
)
from eventspine.contracts.event import NewEvent
from eventspine.contracts.route import ResourceKind, RouteSpec
from tests.client.serving import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

AWKWARD = {"text": "  CR \r LF \n NUL \0 BOM \ufeff U+2028 \u2028 😀 data: x", "big": 2**53 + 1}


@pytest.fixture
def stream() -> str:
    return f"s-{uuid.uuid4()}"


def client_of(server: ServerProcess, **options: object) -> EventspineClient:
    options.setdefault("retry", RetryPolicy(patience_s=20, first_s=0.02, longest_s=0.2))
    return EventspineClient(server.url, **options)  # type: ignore[arg-type]


def events(count: int, start: int = 0) -> list[dict[str, object]]:
    return [{"event_type": "n", "payload": {"n": n}} for n in range(start, start + count)]


async def taken(
    client: EventspineClient, stream: str, count: int, after: str | None = None
) -> list[Any]:
    found: list[Any] = []
    async with aclosing(client.tail(stream, after)) as items:
        async for item in items:
            found.append(item)
            if len(found) == count:
                break
    return found


async def test_a_query_states_what_it_was_given(server: ServerProcess, stream: str) -> None:
    async with client_of(server) as client:
        made = [
            {"event_type": kind, "payload": {}, "metadata": {"run_id": "a,b=c%"}}
            for kind in ("chat.a", "odd,type*", "chat.b", "other")
        ]
        await client.append(stream, made)
        found = await client.query(stream, ["chat.*", "odd,type*"], metadata={"run_id": "a,b=c%"})
        assert [event.sequence for event in found.events] == [1, 2, 3]
        assert (found.read, found.is_complete) == (4, True)
        part = await client.query(stream, ["chat.*"], since=found.events[0].ts, limit=1)
        rest = await client.query(stream, ["chat.*"], after=part.next)
        assert [event.sequence for event in (*part.events, *rest.events)] == [1, 3]


async def test_append_list_and_head_agree(server: ServerProcess, stream: str) -> None:
    async with client_of(server) as client:
        one = await client.append(stream, NewEvent(event_type="a", payload=AWKWARD))
        more = await client.append(stream, events(250), minimal=True)
        head = await client.head(stream)
        assert one.events[0].payload == AWKWARD
        assert head.cursor == more.head == more.cursors[-1]
        assert head.cursor.sequence == 251
        pages = [page async for page in client.pages(stream, limit=100)]
        assert [len(page.lines) for page in pages] == [100, 100, 51]
        assert [page.first for page in pages] == [1, 101, 201]
        assert [event.sequence for page in pages for event in page.events] == list(range(1, 252))
        last = await client.list_after(stream, before=head.cursor, limit=2)
        assert [event.sequence for event in last.events] == [249, 250]
        after_id = await client.list_after(stream, one.event_id, limit=1)
        assert after_id.first == 2


async def test_hostile_stream_ids_travel_whole(server: ServerProcess) -> None:
    async with client_of(server) as client:
        for stream in ("a/b", "..", ".", "%2e", "a b?c#d", "é😀", "-"):
            appended = await client.append(f"{stream}", events(1))
            assert appended.events[0].stream_id == stream


async def test_a_context_is_sent_and_stored(server: ServerProcess, stream: str) -> None:
    context = RequestContext(
        tenant_id="t_demo", env="dev", mode="lab", surface_id="SQUARED²", user_id="ünï"
    )
    async with client_of(server, context=context) as client:
        appended = await client.append(stream, events(1))
    metadata = appended.events[0].metadata
    assert (metadata.surface_id, metadata.user_id) == ("squared2", "ünï")
    async with client_of(server, context={"tenant_id": "t_other"}) as client:
        with pytest.raises(NoRouteConfigured):
            await client.append(stream, events(1))


async def test_refusals_come_back_as_what_they_are(server: ServerProcess, stream: str) -> None:
    async with client_of(server) as client:
        first = await client.append(stream, {**events(1)[0], "event_id": "e1"}, expected="0")
        with pytest.raises(EventConflict):
            await client.append(stream, {"event_id": "e1", "event_type": "n", "payload": {}})
        with pytest.raises(PreconditionFailed) as refused:
            await client.append(stream, events(1), expected="0")
        assert refused.value.current == str(first.head)
        with pytest.raises(CursorGone):
            await client.list_after(stream, "nobody")
        with pytest.raises(InvalidEvent):
            await client.append(stream, [])
        closed = await client.close_stream(stream)
        assert closed.closed
        with pytest.raises(StreamClosed):
            await client.append(stream, events(1))
        assert client.statistics().retries == 0


async def test_the_same_ids_or_the_same_key_are_the_same_append(
    server: ServerProcess, stream: str
) -> None:
    async with client_of(server) as client:
        batch = [{**event, "event_id": f"e{n}"} for n, event in enumerate(events(3))]
        first = await client.append(stream, batch)
        second = await client.append(stream, batch)
        assert (first.duplicates, second.duplicates) == (0, 3)
        assert list(first.lines) == list(second.lines)
        keyed = await client.append(stream, events(2, 10), idempotency_key="k")
        again = await client.append(stream, events(2, 10), idempotency_key="k")
        assert list(keyed.cursors) == list(again.cursors)


async def test_an_answer_that_is_lost_does_not_double_the_append(
    server: ServerProcess, stream: str
) -> None:
    class LosesAnswers(httpx.AsyncBaseTransport):
        """Hands requests on, and loses the answer to every first of two."""

        def __init__(self) -> None:
            self.inner = httpx.AsyncHTTPTransport()
            self.count = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await self.inner.handle_async_request(request)
            self.count += 1
            if self.count % 2:
                await response.aclose()
                raise httpx.ReadError("cut")
            return response

        async def aclose(self) -> None:
            await self.inner.aclose()

    async with httpx.AsyncClient(transport=LosesAnswers()) as http:
        client = client_of(server, http=http)
        for n in range(5):
            appended = await client.append(stream, events(2, 2 * n))
            assert appended.duplicates == 2
    async with client_of(server) as client:
        page = await client.list_after(stream)
    assert [event.payload["n"] for event in page.events] == list(range(10))


async def test_tail_is_history_then_live_then_the_end(server: ServerProcess, stream: str) -> None:
    async with client_of(server) as client:
        await client.append(stream, [{"event_type": "a", "payload": AWKWARD}, *events(600)])
        found: list[object] = []

        async def follow() -> None:
            async with aclosing(client.tail(stream)) as items:
                async for item in items:
                    found.append(item)
                    if len(found) == 601:
                        there.set()

        there = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await there.wait()
            await client.append(stream, events(5, 600))
            await client.close_stream(stream)
        *delivered, end = found
        assert end == End("closed", end.fields)  # type: ignore[attr-defined]
        assert [i.cursor.sequence for i in delivered if isinstance(i, TailEvent)] == [
            *range(1, 607)
        ]
        first = delivered[0]
        assert isinstance(first, TailEvent)
        assert first.event.payload == AWKWARD
        # a resume at the end of a closed stream says so, and does not hang
        (last,) = await taken(client, stream, 1, str((await client.head(stream)).cursor))
        assert isinstance(last, End)


async def test_latest_means_from_now_on(server: ServerProcess, stream: str) -> None:
    async with client_of(server) as client:
        await client.append(stream, events(3))
        async with aclosing(client.tail(stream, "latest")) as items, anyio.create_task_group() as g:
            g.start_soon(client.append, stream, events(1, 3))
            item = await anext(items)
            while isinstance(item, TailEvent) and item.event.payload["n"] < 3:
                item = await anext(items)
        assert isinstance(item, TailEvent)
        assert item.event.payload["n"] == 3


async def test_a_position_that_is_gone_is_a_gap_and_then_the_stream(
    server: ServerProcess, stream: str
) -> None:
    async with client_of(server) as client:
        old = await client.append(stream, events(3))
        await client.delete_stream(stream)
        await client.append(stream, events(2, 7))
        gap, *rest = await taken(client, stream, 3, str(old.head))
        assert isinstance(gap, Gap)
        assert gap.requested == str(old.head)
        assert [item.event.payload["n"] for item in rest] == [7, 8]


async def test_routes_are_read_and_changed(server: ServerProcess) -> None:
    project = f"p-{uuid.uuid4()}"
    spec = RouteSpec(
        resource_kind=ResourceKind.EVENT_STREAM,
        tenant_id="t_demo",
        env="dev",
        mode="lab",
        project_id=project,
        backend_type="memory",
    )
    async with client_of(server) as client:
        made = await client.routes.create(spec)
        assert await client.routes.get(spec.key) == made
        assert made in await client.routes.list()
        with pytest.raises(RouteConflict):
            await client.routes.create(spec)
        with pytest.raises(RouteConflict):
            await client.routes.update(spec, made.revision + 1)
        changed = await client.routes.update(spec)
        assert changed.revision > made.revision
        await client.routes.delete(spec.key, changed.revision)
        with pytest.raises(RouteNotFound):
            await client.routes.get(spec.key)


async def test_nobody_there_is_told_after_patience() -> None:
    async with EventspineClient(
        "http://127.0.0.1:9", retry=RetryPolicy(patience_s=0.1, first_s=0.01)
    ) as client:
        with pytest.raises(ServerUnreachable):
            await client.append("s", events(1))
        with pytest.raises(ServerUnreachable):
            await anext(client.tail("s"))
        assert client.statistics().retries > 0
    async with EventspineClient("nonsense") as client:
        with pytest.raises(InvalidRequest):
            await client.head("s")
