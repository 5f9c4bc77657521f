"""Live readers: an SSE reader of their own, so that a mistake of the client hides no mistake of
the server, and the client's `tail`, which users have."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import anyio
import httpx
import msgspec
import orjson
from msgspec import Raw, Struct

from eventspine.client import End, EventspineClient, Gap
from eventspine.client.client import stream_path
from eventspine.client.sse_parser import SseEvent, SseParser
from tests.torture.history import History, Kind, ReaderPosition, Row, Violation, digest_of


class _Stored(Struct):
    sequence: int
    cursor: str
    event_id: str
    event_type: str
    payload: Raw


_stored = msgspec.json.Decoder(_Stored)


def row_of(line: bytes) -> Row:
    """A stored line as the history knows it."""
    stored = _stored.decode(line)
    digest = digest_of(stored.event_type, bytes(stored.payload))
    return Row(stored.sequence, stored.event_id, digest)


class RawReader:
    """Follows one stream over SSE until it is closed; comes back with Last-Event-ID."""

    def __init__(self, url: str, stream_id: str, history: History, name: str) -> None:
        self._url = f"{url}{stream_path(stream_id)}/sse"
        self._stream_id = stream_id
        self._history = history
        self.name = name
        self._position = ReaderPosition()
        self._last_event_id = ""
        self.connections = 0
        self.connected = False
        self.ends: list[dict[str, Any]] = []  # what the server said when it went away
        self.retry_ms: int | None = None

    @property
    def last(self) -> int:
        """The last sequence it has seen."""
        return self._position.last

    async def follow(self, http: httpx.AsyncClient) -> None:
        while not await self._connected(http):  # noqa: ASYNC110
            await anyio.sleep(0.02)  # the pause of a client that comes back

    async def _connected(self, http: httpx.AsyncClient) -> bool:
        """One connection; whether the stream is over."""
        headers = {"Last-Event-ID": self._last_event_id} if self._last_event_id else {}
        parser = SseParser(self._last_event_id)
        try:
            async with http.stream("GET", self._url, headers=headers) as response:
                self.connections += 1
                self.connected = response.status_code == 200
                if response.status_code == 204:
                    return True
                if response.status_code != 200:
                    await response.aread()
                    return False
                async for chunk in response.aiter_raw():
                    events = parser.feed(chunk)
                    self.retry_ms = parser.retry_ms or self.retry_ms
                    if any(self._take(event) for event in events):
                        return True
        except httpx.TransportError:
            pass
        finally:
            self.connected = False
        return False

    def _take(self, event: SseEvent) -> bool:
        if event.event == "end":
            said = orjson.loads(event.data)
            self.ends.append(said)
            return str(said["reason"]) == "closed"
        if event.event != "message":
            self._wrong(f"{self.name} got a {event.event}: {event.data[:200]}")
            return False
        stored = _stored.decode(event.data.encode())
        if event.last_event_id != stored.cursor:
            self._wrong(f"{self.name}: id {event.last_event_id} on {stored.cursor}")
        self._last_event_id = event.last_event_id
        row = row_of(event.data.encode())
        self._history[self._stream_id].read_one(row, self._position, self.name)
        return False

    def _wrong(self, detail: str) -> None:
        self._history.violations.append(Violation(Kind.GAP, self._stream_id, detail))


async def follow_by_client(
    client: EventspineClient, stream_id: str, history: History, name: str
) -> None:
    """The same with `EventspineClient.tail`."""
    position = ReaderPosition()
    async with aclosing(client.tail(stream_id)) as items:
        async for item in items:
            if isinstance(item, End):
                return
            if isinstance(item, Gap):
                detail = f"{name} got a gap: {item}"
                history.violations.append(Violation(Kind.GAP, stream_id, detail))
            else:
                history[stream_id].read_one(row_of(item.line), position, name)


async def read_pages(client: EventspineClient, stream_id: str, history: History, who: str) -> int:
    """Everything of a stream by pages, judged; how many events there are."""
    stream = history[stream_id]
    mark = stream.mark()
    rows = [row_of(line) async for line in client.iterate(stream_id, limit=2000)]
    stream.read_all(rows, mark, who)
    return len(rows)
