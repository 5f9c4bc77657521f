"""The same operations for synchronous code: a loop in a thread of its own, calls that block.

    with eventspine.open_blocking("var", lab=True) as spine:
        spine.append("thread_1", {"event_type": "chat.message", "payload": {"text": "hi"}}, context)
        spine.tables(context).upsert("policies", "p1", {"limit": 5})

Any thread may call; calls of different threads share commits. Source: D18.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from eventspine.actors.subscription import Subscription
from eventspine.bootstrap import open_spine
from eventspine.contracts.answers import Appended, Head, Page, TailSlice
from eventspine.contracts.context import RequestContext
from eventspine.contracts.settings import Settings
from eventspine.services.blocking_service import BlockingService
from eventspine.services.envelope import Event
from eventspine.services.spine import Spine


class BlockingSpine:
    """Spine with calls that block. See the methods of Spine."""

    def __init__(self, spine: Spine, portal: BlockingPortal) -> None:
        self._spine = spine
        self._portal = portal

    def append(
        self, stream_id: str, event: Event, context: RequestContext, *, expected: str | None = None
    ) -> Appended:
        return self._portal.call(
            partial(self._spine.append, stream_id, event, context, expected=expected)
        )

    def append_batch(
        self,
        stream_id: str,
        events: Sequence[Event],
        context: RequestContext,
        *,
        expected: str | None = None,
    ) -> Appended:
        return self._portal.call(
            partial(self._spine.append_batch, stream_id, events, context, expected=expected)
        )

    def list_after(
        self,
        stream_id: str,
        after: str | None,
        context: RequestContext,
        *,
        before: str | None = None,
        limit: int | None = None,
        wait_s: float = 0.0,
    ) -> Page:
        return self._portal.call(
            partial(
                self._spine.list_after,
                stream_id,
                after,
                context,
                before=before,
                limit=limit,
                wait_s=wait_s,
            )
        )

    def emit_audit_event(
        self,
        ctx: RequestContext,
        action: str,
        surface: str = "audit",
        metadata: Mapping[str, Any] | None = None,
        input_data: Mapping[str, Any] | None = None,
        output_data: Mapping[str, Any] | None = None,
    ) -> None:
        """See Audit.emit_audit_event."""
        emit = self._spine.audit.emit_audit_event
        self._portal.call(emit, ctx, action, surface, metadata, input_data, output_data)

    def head(self, stream_id: str, context: RequestContext) -> Head:
        return self._portal.call(self._spine.head, stream_id, context)

    def tail(
        self, stream_id: str, context: RequestContext, after: str | None = None
    ) -> Iterator[TailSlice]:
        """History after a position, then live, as a blocking iterator; ends with the stream."""
        subscription = self._portal.call(self._spine.subscribe, stream_id, context, after)
        try:
            while (piece := self._portal.call(_next, subscription)) is not None:
                yield piece
        finally:
            self._portal.call(subscription.close)

    # --- other kinds of store; what each has is what the method of Spine of this name answers ---

    def tables(self, context: RequestContext) -> BlockingService:
        return self._of(self._spine.tables, context)

    def objects(self, context: RequestContext) -> BlockingService:
        return self._of(self._spine.objects, context)

    def metrics_store(self, context: RequestContext) -> BlockingService:
        return self._of(self._spine.metrics_store, context)

    def memory(self, context: RequestContext) -> BlockingService:
        return self._of(self._spine.memory, context)

    def budget(self, context: RequestContext) -> BlockingService:
        return self._of(self._spine.budget, context)

    def budget_policies(self, context: RequestContext) -> BlockingService:
        return self._of(self._spine.budget_policies, context)

    def analytics(self, context: RequestContext) -> BlockingService:
        return self._of(self._spine.analytics, context)

    def vectors(self, context: RequestContext) -> BlockingService:
        return self._of(self._spine.vectors, context)

    def _of(
        self, kind: Callable[[RequestContext], object], context: RequestContext
    ) -> BlockingService:
        return BlockingService(self._portal.call(kind, context), self._portal)

    # --- end ---

    def close_stream(self, stream_id: str, context: RequestContext) -> Head:
        return self._portal.call(self._spine.close_stream, stream_id, context)

    def delete_stream(self, stream_id: str, context: RequestContext) -> None:
        self._portal.call(self._spine.delete_stream, stream_id, context)


async def _next(subscription: Subscription) -> TailSlice | None:
    async for piece in subscription:
        return piece
    return None


@contextmanager
def open_blocking(
    root: str | Path = "var", *, lab: bool = False, settings: Settings | None = None
) -> Iterator[BlockingSpine]:
    """As `open`, for synchronous code."""
    with start_blocking_portal("asyncio") as portal:
        opened = open_spine(root, lab=lab, settings=settings)
        with portal.wrap_async_context_manager(opened) as spine:
            yield BlockingSpine(spine, portal)
