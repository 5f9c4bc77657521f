"""One live reading of a stream over SSE, across as many connections as it takes.

Job: connect, hand out what Delivery makes of the events, and come back after every cut with the
id of the last event.
Rules: the server's `retry:` is the shortest wait, back-off with jitter the usual one; a connection
that opened is proof of life, so patience counts from the last one; only a refusal, a hole or the
end of patience stops the reading.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

import anyio
import httpx

from eventspine.client.delivery import Delivery, End, TailItem
from eventspine.client.errors import BadAnswer, ServerUnreachable
from eventspine.client.problem import error_of
from eventspine.client.retry_policy import RetryPolicy
from eventspine.client.sse_parser import SseEvent, SseParser
from eventspine.contracts.errors import EventspineError

_SSE = "text/event-stream"
_QUIET_S_MAX = 45.0  # three heartbeats of the longest a server may choose


class LiveReader:
    """`connections` and `delivery.dropped` say afterwards what it took."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        headers: list[tuple[bytes, bytes]],
        after: str | None,
        delivery: Delivery,
        retry: RetryPolicy,
    ) -> None:
        self.delivery = delivery
        self.connections = 0
        self._http = http
        self._url = url
        self._headers = [*headers, (b"Accept", _SSE.encode()), (b"Cache-Control", b"no-cache")]
        self._params = {} if after is None else {"after": after}
        self._retry = retry
        self._retry_ms: int | None = None
        self._last_event_id = ""
        self._attempt = 0
        self._alive_at = 0.0

    async def items(self) -> AsyncGenerator[TailItem, None]:
        """Each item once, in order; the last one is a final End."""
        self._alive_at = anyio.current_time()
        while True:
            failure: EventspineError | None = None
            try:
                async with aclosing(self._connection()) as connection:
                    async for item in connection:
                        yield item
                        if isinstance(item, End):
                            return
            except httpx.TransportError as error:
                failure = self._unreachable(str(error) or type(error).__name__)
            except EventspineError as error:
                failure = error
            await self._pause(failure or self._unreachable("the connection ended"))

    async def _connection(self) -> AsyncGenerator[TailItem, None]:
        """The items of one connection; it ends when the server ends it without a final word."""
        parser = SseParser(self._last_event_id)
        async with aclosing(self._events(parser)) as chunks:
            async for events in chunks:
                for event in events:
                    item = self.delivery.take(event)
                    self._last_event_id = event.last_event_id
                    if isinstance(item, End) and not item.is_final:
                        return
                    if item is not None:
                        yield item
                if parser.retry_ms is not None:
                    self._retry_ms = parser.retry_ms

    async def _events(self, parser: SseParser) -> AsyncGenerator[list[SseEvent], None]:
        headers = list(self._headers)
        if parser.last_event_id:
            headers.append((b"Last-Event-ID", parser.last_event_id.encode()))
        self.connections += 1
        async with self._http.stream(
            "GET",
            self._url,
            params=self._params,
            headers=headers,
            timeout=httpx.Timeout(_QUIET_S_MAX, connect=5.0),
        ) as response:
            if response.status_code == 204:  # a resume at the end of a closed stream
                yield [SseEvent("end", '{"reason":"closed","retry":false}', parser.last_event_id)]
                return
            await self._check(response)
            self._alive_at = anyio.current_time()
            chunks = response.aiter_raw()
            try:
                async for chunk in chunks:
                    self._alive_at = anyio.current_time()
                    self._attempt = 0
                    yield parser.feed(chunk)
            finally:
                await _unwind(response, chunks)

    async def _check(self, response: httpx.Response) -> None:
        if response.status_code != 200:
            body = await response.aread()
            retry_after = response.headers.get("retry-after")
            raise error_of(response.status_code, body, self._url, retry_after)
        if not response.headers.get("content-type", "").startswith(_SSE):
            raise BadAnswer(f"{self._url} answered no event stream", url=self._url, status=200)

    async def _pause(self, failure: EventspineError) -> None:
        """Wait before connecting again. Raises `failure` when it is not worth it any more."""
        self._attempt += 1
        wait = self._retry.wait_s(self._attempt, anyio.current_time() - self._alive_at, failure)
        if wait is None:
            raise failure
        if self._retry_ms is not None:
            wait = max(wait, self._retry_ms / 1000 * (1.0 + self._retry.jitter() / 4))
        await anyio.sleep(wait)

    def _unreachable(self, why: str) -> ServerUnreachable:
        return ServerUnreachable(f"{self._url}: {why}", url=self._url, attempts=self._attempt)


async def _unwind(response: httpx.Response, chunks: AsyncIterator[bytes]) -> None:
    """Close a body that was left early, and the generators httpx reads it through.

    httpx and httpcore stack four generators and close none of them; on trio each is a
    ResourceWarning. One more step on the closed connection makes all of them end by themselves.
    """
    with anyio.CancelScope(shield=True):
        await response.aclose()
        with suppress(httpx.HTTPError, httpx.StreamError, StopAsyncIteration):
            await anext(chunks)
