"""EventspineClient: the operations of a stream over HTTP, on asyncio and trio.

Job: the same operations as the embedded spine, typed, retried where that is safe.
Rules: every event has its id before the first try, so a repeated append is the same append; a
refusal comes back as the class of contracts.errors it was on the server; reading live reconnects
by itself and neither loses nor doubles.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import anyio
import httpx
import msgspec

from eventspine.client.answers import appended_of, head_of, page_of
from eventspine.client.context_headers import headers_of
from eventspine.client.delivery import Delivery, TailItem
from eventspine.client.errors import ServerUnreachable
from eventspine.client.event_ids import uuid7
from eventspine.client.live import LiveReader
from eventspine.client.problem import error_of
from eventspine.client.retry_policy import RetryPolicy
from eventspine.client.routes import ClientRoutes
from eventspine.contracts.answers import Appended, Head, Page
from eventspine.contracts.context import RequestContext
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import (
    EventspineError,
    InvalidEvent,
    InvalidRequest,
    StreamNotFound,
)
from eventspine.contracts.event import NewEvent
from eventspine.contracts.wire import dump_object

Event = NewEvent | Mapping[str, Any]
Position = Cursor | str

_JSON = b"application/json"
_NDJSON = b"application/x-ndjson"


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    requests: int
    retries: int
    reconnects: int
    dropped: int


class EventspineClient:
    """Talks to one server. Use it as an async context manager.

    Args:
        base_url: where the server is, as `http://127.0.0.1:8080`.
        context: the scope of every call: a RequestContext, or a part of one (`{"tenant_id": …}`)
            for a server that completes it from its lab settings; None states nothing.
        retry: how patiently safe calls are repeated.
        http: a client to use instead of our own (its timeouts then count); not closed by us.
    """

    def __init__(
        self,
        base_url: str,
        *,
        context: RequestContext | Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
        http: httpx.AsyncClient | None = None,
        timeout_s: float = 30.0,
        connections_max: int = 100,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.retry = retry or RetryPolicy()
        self._headers = headers_of(context)
        self._owned = http is None
        self._http = http or httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_s, connect=5.0, pool=None),
            limits=httpx.Limits(max_connections=connections_max, max_keepalive_connections=None),
            trust_env=False,
        )
        self._requests = self._retries = self._reconnects = self._dropped = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._owned:
            await self._http.aclose()

    @property
    def routes(self) -> ClientRoutes:
        return ClientRoutes(self.ask_json)

    def statistics(self) -> ClientStatistics:
        return ClientStatistics(self._requests, self._retries, self._reconnects, self._dropped)

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

    # --- asking ----------------------------------------------------------------------------

    async def ask_json(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> Any:
        """The decoded body of any other address of the server; None when it has none."""
        headers = [*headers, (b"Accept", _JSON)]
        response = await self._ask(method, path, content=content, headers=headers)
        return msgspec.json.decode(response.content) if response.content else None

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> httpx.Response:
        """The successful answer, however many tries it takes within the patience."""
        started, attempt = anyio.current_time(), 0
        while True:
            attempt += 1
            outcome = await self._try(method, path, params, content, headers, attempt, started)
            if isinstance(outcome, httpx.Response):
                return outcome
            wait = self.retry.wait_s(attempt, anyio.current_time() - started, outcome)
            if wait is None:
                raise outcome
            self._retries += 1
            await anyio.sleep(wait)

    async def _try(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None,
        content: bytes | None,
        headers: Sequence[tuple[bytes, bytes]],
        attempt: int,
        started: float,
    ) -> httpx.Response | EventspineError:
        url = self.base_url + path
        self._requests += 1
        try:
            response = await self._http.request(
                method, url, params=params, content=content, headers=[*self._headers, *headers]
            )
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise InvalidRequest(f"{self.base_url} is not an http address: {error}") from error
        except httpx.TransportError as error:
            return self._unreachable(error, attempt, anyio.current_time() - started)
        if response.is_success:
            return response
        retry_after = response.headers.get("retry-after")
        return error_of(response.status_code, response.content, url, retry_after)

    def _unreachable(
        self, error: Exception | None, attempts: int, waited_s: float
    ) -> ServerUnreachable:
        why = (str(error) or type(error).__name__) if error else "the connection ended"
        return ServerUnreachable(
            f"{self.base_url}: {why} ({attempts} tries in {waited_s:.1f} s)",
            url=self.base_url,
            attempts=attempts,
            waited_s=waited_s,
        )


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
