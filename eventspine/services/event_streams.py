"""EventStreamService: the event streams of one context. Source: CLS-09, FN-01, FN-02, FN-32.

    streams = EventStreamService(spine, context)
    await streams.append("thread_1", {"event_type": "chat.message", "payload": {"text": "hi"}})
    await streams.list_after("thread_1", None)
    await streams.query("thread_1").of_types("chat.*").since("2026-11-24T00:00:00Z").find()

Where they are is for the route of kind `event_stream` to say, at every call; nothing is resolved
once and kept.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from eventspine.contracts.answers import Appended, Page, Selection
from eventspine.contracts.context import RequestContext
from eventspine.contracts.stream_filter import StreamFilter
from eventspine.services.envelope import Event


class Streams(Protocol):
    """What it needs of a Spine."""

    async def append(
        self, stream_id: str, event: Event, context: RequestContext, *, expected: str | None = None
    ) -> Appended: ...
    async def list_after(
        self,
        stream_id: str,
        after: str | None,
        context: RequestContext,
        *,
        limit: int | None = None,
    ) -> Page: ...
    async def query(
        self,
        stream_id: str,
        wanted: StreamFilter,
        context: RequestContext,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> Selection: ...


class EventStreamService:
    def __init__(self, spine: Streams, context: RequestContext) -> None:
        self._spine = spine
        self._context = context

    async def append(
        self, stream_id: str, event: Event, *, expected: str | None = None
    ) -> Appended:
        """Append one event; answered when it is on disk. `event_id` of the answer is its id."""
        return await self._spine.append(stream_id, event, self._context, expected=expected)

    async def list_after(
        self, stream_id: str, after: str | None = None, *, limit: int | None = None
    ) -> Page:
        """A page of events after a cursor or an event id; None: from the start."""
        return await self._spine.list_after(stream_id, after, self._context, limit=limit)

    def query(self, stream_id: str) -> StreamQuery:
        """A question about one stream, to be narrowed step by step."""
        return StreamQuery(self._spine, self._context, stream_id)


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """Each step answers a new question; nothing is asked before `find` or `all`."""

    spine: Streams
    context: RequestContext
    stream_id: str
    _types: tuple[str, ...] = ()
    _since: datetime | str | None = None
    _until: datetime | str | None = None
    _metadata: dict[str, str] = field(default_factory=dict)
    _after: str | None = None
    _limit: int | None = None

    def of_types(self, *event_types: str) -> StreamQuery:
        """Only events of these types; one that ends in `.*` means all that begin so."""
        return replace(self, _types=(*self._types, *event_types))

    def since(self, time: datetime | str) -> StreamQuery:
        """Only events from then on."""
        return replace(self, _since=time)

    def until(self, time: datetime | str) -> StreamQuery:
        """Only events before then."""
        return replace(self, _until=time)

    def where(self, **metadata: str) -> StreamQuery:
        """Only events whose metadata has these members, as `where(user_id="u1")`."""
        return replace(self, _metadata={**self._metadata, **metadata})

    def after(self, position: str | None) -> StreamQuery:
        """Only events after a cursor or an event id."""
        return replace(self, _after=position)

    def limit(self, events: int) -> StreamQuery:
        """At most so many events in one answer."""
        return replace(self, _limit=events)

    async def find(self) -> Selection:
        """What matches; `next` of the answer goes on. Raises InvalidRequest, CursorGone."""
        return await self.spine.query(
            self.stream_id, self._wanted, self.context, after=self._after, limit=self._limit
        )

    async def all(self) -> AsyncGenerator[bytes, None]:
        """The stored line of every event that matches, up to the end as it is when it is met."""
        at = self
        while True:
            found = await at.find()
            for line in found.lines:
                yield line
            if found.is_complete:
                return
            at = at.after(str(found.next))

    @property
    def _wanted(self) -> StreamFilter:
        return StreamFilter(
            self._types, since=self._since, until=self._until, metadata=self._metadata
        )
