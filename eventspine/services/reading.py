"""The reading half of Spine: pages, the head, live readers."""

from __future__ import annotations

from eventspine.actors.host import StreamHost
from eventspine.actors.lookup import position
from eventspine.actors.page import page_after, page_after_now, page_before
from eventspine.actors.selecting import select
from eventspine.actors.stream import check_mode
from eventspine.actors.subscription import Subscription
from eventspine.contracts.answers import Head, Page, Selection
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import InvalidRequest, Overloaded
from eventspine.contracts.limits import Limits
from eventspine.contracts.stream_filter import StreamFilter
from eventspine.services.bindings import Bindings


class Reading:
    def __init__(self, bindings: Bindings, limits: Limits) -> None:
        self._bindings = bindings
        self._limits = limits

    async def list_after(
        self,
        stream_id: str,
        after: str | None,
        context: RequestContext,
        *,
        before: str | None = None,
        limit: int | None = None,
        wait_s: float = 0.0,
    ) -> Page:
        """A page of events, always in ascending order; costs the same anywhere in the stream.

        Args:
            after: a cursor, an event id, "latest", or None for the start.
            before: page backwards: the last `limit` events before this position.
            limit: at most so many events; lowered to the operator's maximum.
            wait_s: with nothing there yet, wait so long for the first event.

        Raises:
            CursorGone: the position is not in this stream. Never a silent start from elsewhere.
        """
        limit = self._limit(limit)
        host, key = await self._locate(stream_id, context)
        if before is not None:
            return await page_before(host, key, context.mode, before, after, limit)
        if wait_s > 0 and host.long_polls >= self._limits.long_polls_max:
            self._refuse_more("long_polls_max", self._limits.long_polls_max)
        wait_s = min(wait_s, self._limits.long_poll_s_max)
        return await page_after(host, key, context.mode, after, limit, wait_s)

    def list_after_now(
        self, stream_id: str, after: str | None, context: RequestContext, *, limit: int | None
    ) -> Page | None:
        """list_after without a coroutine; None, and nothing done, when it would have to wait."""
        binding = self._bindings.known.get(context.scope)
        if binding is None:
            return None
        key = binding.place_to_read(stream_id).key
        return page_after_now(binding.host, key, context.mode, after, self._limit(limit))

    async def query(
        self,
        stream_id: str,
        wanted: StreamFilter,
        context: RequestContext,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> Selection:
        """Events that a filter takes, after a position, in ascending order (FN-32).

        Args:
            limit: at most so many events; lowered to the operator's maximum.

        Looks at `query_events_read_max` events at most; `next` of the answer goes on from there.

        Raises:
            CursorGone: the position is not in this stream.
        """
        limit = self._limit(limit)
        host, key = await self._locate(stream_id, context)
        read_max = self._limits.query_events_read_max
        return await select(host, key, context.mode, after, wanted, limit, read_max)

    def _limit(self, limit: int | None) -> int:
        limit = self._limits.page_events_default if limit is None else limit
        if limit < 1:
            raise InvalidRequest("limit must be at least 1")
        return min(limit, self._limits.page_events_max)

    async def head(self, stream_id: str, context: RequestContext) -> Head:
        """Where the stream stands. A stream nobody wrote to stands at sequence 0."""
        host, key = await self._locate(stream_id, context)
        actor = await host.actor(key)
        check_mode(actor, context.mode)
        return Head(actor.head, actor.earliest, actor.closed)

    async def subscribe(
        self, stream_id: str, context: RequestContext, after: str | None = None
    ) -> Subscription:
        """History after a position, then live. Use it as `async with await spine.subscribe(…)`."""
        host, key = await self._locate(stream_id, context)
        if len(host.readers) >= self._limits.subscribers_max:
            self._refuse_more("subscribers_max", self._limits.subscribers_max)
        actor = await host.actor(key)
        check_mode(actor, context.mode)
        sequence = await position(host, actor, after)
        return Subscription(host, actor, context.mode, sequence)

    @staticmethod
    def _refuse_more(limit: str, maximum: int) -> None:
        raise Overloaded(
            f"{maximum} are waiting already", limit=limit, maximum=maximum, retry_after_s=5
        )

    async def _locate(self, stream_id: str, context: RequestContext) -> tuple[StreamHost, str]:
        binding = await self._bindings.of(context.scope)
        return binding.host, binding.place_to_read(stream_id).key
