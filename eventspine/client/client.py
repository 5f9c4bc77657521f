"""EventspineClient: the operations of a server over HTTP, on asyncio and trio: streams, stores.

Job: the same operations as the embedded spine, typed, retried where that is safe.
Rules: every event has its id before the first try, so a repeated append is the same append; a
refusal comes back as the class of contracts.errors it was on the server; reading live reconnects
by itself and neither loses nor doubles.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any
from urllib.parse import quote

from eventspine.client.access import ServerAccess
from eventspine.client.answers import appended_of, head_of, page_of, selection_of
from eventspine.client.delivery import Delivery, TailItem
from eventspine.client.event_ids import uuid7
from eventspine.client.live import LiveReader
from eventspine.client.routes import ClientRoutes
from eventspine.client.stores.analytics import ClientAnalytics
from eventspine.client.stores.budget import ClientBudget
from eventspine.client.stores.memory import ClientMemory
from eventspine.client.stores.metrics import ClientMetrics
from eventspine.client.stores.objects import ClientObjects
from eventspine.client.stores.tables import ClientTables
from eventspine.client.stores.vectors import ClientVectors
from eventspine.contracts.answers import Appended, Head, Page, Selection
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import (
    InvalidEvent,
    StreamNotFound,
)
from eventspine.contracts.event import NewEvent
from eventspine.contracts.wire import dump_object

Event = NewEvent | Mapping[str, Any]
Position = Cursor | str

_JSON = b"application/json"
_NDJSON = b"application/x-ndjson"
DEFAULT_NAMESPACE = "session"
DEFAULT_DATASET = "events"


class EventspineClient(ServerAccess):
    """The operations of one server. See ServerAccess for what it is made of."""

    @property
    def routes(self) -> ClientRoutes:
        return ClientRoutes(self.ask_json)

    @property
    def tables(self) -> ClientTables:
        return ClientTables(self.ask_store)

    def memory(self, namespace: str = DEFAULT_NAMESPACE) -> ClientMemory:
        return ClientMemory(self.ask_store, namespace)

    @property
    def budget(self) -> ClientBudget:
        return ClientBudget(self.ask_store)

    @property
    def metrics(self) -> ClientMetrics:
        return ClientMetrics(self.ask_store)

    @property
    def objects(self) -> ClientObjects:
        return ClientObjects(self.ask_store)

    @property
    def vectors(self) -> ClientVectors:
        return ClientVectors(self.ask_store)

    def analytics(self, dataset: str = DEFAULT_DATASET) -> ClientAnalytics:
        return ClientAnalytics(self.ask_store, dataset)

    # --- writing ---------------------------------------------------------------------------

    async def append(
        self,
        stream_id: str,
        events: Event | Sequence[Event],
        *,
        idempotency_key: str | None = None,
        expected: Position | None = None,
        minimal: bool = False,
    ) -> Appended:
        """Store the events, all of them or none, and return them as stored.

        Events without an id get one here, so that a retry is recognised; with an
        `idempotency_key` the server makes them from the key instead. `expected` is the cursor the
        stream must be at (`"0"`: must be empty). `minimal` leaves the payloads out of the answer.

        Raises:
            EventConflict: an id was used before, with another body.
            PreconditionFailed: the stream is not at `expected`.
            ServerUnreachable: patience ran out; sending the same events again is safe.
        """
        body = encode_events(events, own_ids=idempotency_key is None)
        return await self.append_body(
            stream_id, body, idempotency_key=idempotency_key, expected=expected, minimal=minimal
        )

    async def append_body(
        self,
        stream_id: str,
        body: bytes,
        *,
        ndjson: bool = False,
        idempotency_key: str | None = None,
        expected: Position | None = None,
        minimal: bool = False,
    ) -> Appended:
        """As `append`, with a body that is encoded already: every event in it has its id,
        or there is an `idempotency_key`; otherwise a retry would store it twice."""
        headers = [(b"Content-Type", _NDJSON if ndjson else _JSON)]
        if idempotency_key is not None:
            headers.append((b"Idempotency-Key", idempotency_key.encode()))
        if expected is not None:
            headers.append((b"If-Match", f'"{expected}"'.encode()))
        if minimal:
            headers.append((b"Prefer", b"return=minimal"))
        path = f"{stream_path(stream_id)}/events"
        response = await self._ask("POST", path, content=body, headers=headers)
        return appended_of(response.content, self.base_url + path)

    async def close_stream(self, stream_id: str) -> Head:
        """End the stream: it stays readable and never takes another event. Idempotent."""
        path = f"{stream_path(stream_id)}/close"
        response = await self._ask("POST", path)
        return head_of(response.content, self.base_url + path)

    async def delete_stream(self, stream_id: str) -> None:
        """Forget the stream. Raises StreamNotFound when there was none."""
        before = self._retries
        try:
            await self._ask("DELETE", f"{stream_path(stream_id)}/events")
        except StreamNotFound:
            if self._retries == before:
                raise  # after a retry it is our own first try that succeeded

    # --- reading ---------------------------------------------------------------------------

    async def list_after(
        self,
        stream_id: str,
        after: Position | None = None,
        *,
        before: Position | None = None,
        limit: int | None = None,
        wait_s: float | None = None,
    ) -> Page:
        """One page of events after a cursor or event id (or before one: the last ones first
        to be met going back). `wait_s` waits for an event when there is none yet."""
        stated = {"after": after, "before": before, "limit": limit, "wait": wait_s}
        params = {name: str(value) for name, value in stated.items() if value is not None}
        path = f"{stream_path(stream_id)}/events"
        response = await self._ask("GET", path, params=params, headers=[(b"Accept", _JSON)])
        return page_of(response.content, self.base_url + path)

    async def query(
        self,
        stream_id: str,
        event_types: Sequence[str] = (),
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        metadata: Mapping[str, str] | None = None,
        after: Position | None = None,
        limit: int | None = None,
    ) -> Selection:
        """Events that match, after a position: any of the types (`chat.*`: every type that begins
        so), times from `since` to before `until`, these members of the metadata. Go on with
        `after=next` until it `is_complete`."""
        stated = {
            "type": ",".join(quote(name, safe="*") for name in event_types) or None,
            "since": since.isoformat() if isinstance(since, datetime) else since,
            "until": until.isoformat() if isinstance(until, datetime) else until,
            "metadata": ",".join(
                f"{quote(name, safe='')}={quote(value, safe='')}"
                for name, value in (metadata or {}).items()
            )
            or None,
            "after": after,
            "limit": limit,
        }
        params = {name: str(value) for name, value in stated.items() if value is not None}
        path = f"{stream_path(stream_id)}/query"
        response = await self._ask("GET", path, params=params)
        return selection_of(response.content, self.base_url + path)

    async def pages(
        self, stream_id: str, after: Position | None = None, *, limit: int | None = None
    ) -> AsyncGenerator[Page, None]:
        """Every page from `after` to the head as it is when it is reached."""
        while True:
            page = await self.list_after(stream_id, after, limit=limit)
            if page.lines:
                yield page
            if not page.lines or page.next >= page.head:
                return
            after = page.next

    async def iterate(
        self, stream_id: str, after: Position | None = None, *, limit: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The stored line of every event from `after` to the head."""
        async for page in self.pages(stream_id, after, limit=limit):
            for line in page.lines:
                yield line

    async def head(self, stream_id: str) -> Head:
        """Where the stream stands. One that nobody wrote to stands at sequence 0."""
        page = await self.list_after(stream_id, "latest", limit=1)
        return Head(page.head, page.earliest, page.closed)

    async def tail(
        self, stream_id: str, after: Position | None = None
    ) -> AsyncGenerator[TailItem, None]:
        """History after a position, then live, over SSE: each event once, in order, for ever.

        Reconnects by itself with the id of the last event. Yields TailEvent; Gap where the
        position is not in the stream; End, as the last item, when the stream is over. After
        `"latest"` it begins with the first event appended from now on. Leave it early with
        `contextlib.aclosing`.

        Raises:
            StreamHole: the server left events out.
            ServerUnreachable: patience ran out while reconnecting.
        """
        if after == "latest":
            # Fixed now: "latest" again on a reconnect would skip what came in between.
            after = (await self.head(stream_id)).cursor
        last = Cursor.parse(str(after)) if Cursor.looks_like(str(after)) else None
        delivery = Delivery(stream_id, last, from_start=after is None)
        reader = LiveReader(
            self._http,
            f"{self.base_url}{stream_path(stream_id)}/sse",
            self._headers,
            None if after is None else str(after),
            delivery,
            self.retry,
        )
        try:
            async with aclosing(reader.items()) as items:
                async for item in items:
                    yield item
        finally:
            self._requests += reader.connections
            self._reconnects += reader.connections - 1
            self._dropped += delivery.dropped


def stream_path(stream_id: str) -> str:
    """The address of a stream. An id may hold anything, slashes and dots too."""
    segment = quote(stream_id, safe="")
    return "/v1/streams/" + (segment.replace(".", "%2E") if not segment.strip(".") else segment)


def encode_events(events: Event | Sequence[Event], *, own_ids: bool = True) -> bytes:
    """The body of an append; events without an id get one unless the server is to make it."""
    many = [events] if isinstance(events, NewEvent | Mapping) else events
    return b"[%b]" % b",".join([_encode_event(event, own_ids) for event in many])


def _encode_event(event: Event, own_ids: bool) -> bytes:
    values: dict[str, Any]
    if isinstance(event, NewEvent):
        values = event.model_dump(exclude_none=True)
    elif isinstance(event, Mapping):
        values = dict(event)
    else:
        raise InvalidEvent(f"an event is a mapping or a NewEvent, not {type(event).__name__}")
    if own_ids and values.get("event_id") is None:
        values["event_id"] = uuid7()
    return dump_object(values, "the event")
