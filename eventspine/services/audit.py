"""Audit: records of who did what, kept as events in a stream of the tenant (FN-24, SYS-08).

    await spine.audit.emit_audit_event(context, "note.create", metadata={"note": "n1"})
    await eventspine.emit_audit_event(context, "note.create")     # of the spine opened last

Job: find the place of a record (contracts/audit.py), have it durable, be strict or not.
Rules:
- Answered means durable. The tenant's own stream comes first; when that cannot take the record,
  the system tenant's does, if it has a route of its own.
- Strict (`audit.strict`): what cannot be audited fails, with `audit_unavailable`. Not strict: it
  goes on, the record is lost, which is logged and counted.
- To audit is not audited: no look at a route that is made on the way leaves a record.
- A record waits `store_s_max` at most.
Source: R-06, D16, DESIGN decision 12.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import anyio

from eventspine.contracts.audit import AUDIT_STREAM, AUDIT_SURFACE, audit_event, places
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import AuditUnavailable, EventspineError
from eventspine.contracts.route import LAB_MODE
from eventspine.contracts.settings import AuditSettings
from eventspine.services.audit_queue import AuditQueue, AuditStatistics

log = logging.getLogger(__name__)
FirstUse = Callable[[RequestContext], Awaitable[None]]
_quiet: ContextVar[bool] = ContextVar("eventspine_quiet", default=False)


class Append(Protocol):
    """Spine.append_batch."""

    async def __call__(
        self, stream_id: str, events: Sequence[Mapping[str, Any]], context: RequestContext, /
    ) -> object: ...


@contextmanager
def unaudited() -> Iterator[None]:
    """Looks at routes in here are the audit's own."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def is_unaudited() -> bool:
    return _quiet.get()


class Audit:
    """The audit of one spine. `queue` takes what nobody waits for.

    Args:
        append: how events get into their stream.
        now_s: the clock that names what is queued.
    """

    def __init__(self, append: Append, settings: AuditSettings, now_s: Callable[[], float]) -> None:
        self._append = append
        self.settings = settings
        self.kinds = frozenset(settings.kinds)  # whose changes are recorded
        self.stored = self.failed = 0
        self.queue = AuditQueue(self.write, settings, now_s)
        self.first_use: FirstUse | None = None  # told before an append to an audit stream

    async def emit_audit_event(
        self,
        ctx: RequestContext,
        action: str,
        surface: str = AUDIT_SURFACE,
        metadata: Mapping[str, Any] | None = None,
        input_data: Mapping[str, Any] | None = None,
        output_data: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a record, durably (FN-24).

        Args:
            action: what was done, as `note.create`.
            surface: what it is about; the record is on the surface `audit` all the same.
            metadata, input_data, output_data: JSON. What looks like a secret is left out.

        Raises:
            AuditUnavailable: it could not be kept, and the audit is strict.
            InvalidId, InvalidEvent, TooLarge: it cannot be a record.
        """
        event = audit_event(ctx, action, surface, metadata, input_data, output_data)
        await self.keep(places(ctx), [event], action)

    async def record(
        self, where: Sequence[RequestContext], event: Mapping[str, Any], action: str
    ) -> bool:
        """`keep` of a record of our own: that it cannot be one is no fault of who asked."""
        try:
            return await self.keep(where, [event], action)
        except AuditUnavailable:
            raise
        except EventspineError as error:
            self.failed += 1
            if self.is_strict(where[0].mode):
                raise AuditUnavailable(f"no audit record: {error}") from error
            log.warning("no audit record of %s: %s", action, error)
            return False

    def is_strict(self, mode: str) -> bool:
        """Whether in this mode what cannot be audited must not be done."""
        strict = self.settings.strict
        return strict == "always" or (strict == "outside_lab" and mode != LAB_MODE)

    async def keep(
        self, where: Sequence[RequestContext], events: Sequence[Mapping[str, Any]], action: str
    ) -> bool:
        """Keep records of one action; answers whether they are kept. Raises AuditUnavailable."""
        try:
            await self.write(where, AUDIT_STREAM, events)
        except AuditUnavailable as error:
            if self.is_strict(where[0].mode):
                raise
            log.warning("no audit record of %s: %s", action, error)
            return False
        return True

    async def write(
        self, where: Sequence[RequestContext], stream_id: str, events: Sequence[Mapping[str, Any]]
    ) -> None:
        """Append to the first place that takes it.

        Raises:
            AuditUnavailable: none did; `__cause__` is what the first one said.
            InvalidEvent, TooLarge: no place would.
        """
        first: Exception | None = None
        for place in where:
            recorded = events if place is where[0] else [_moved(one, where[0]) for one in events]
            try:
                with unaudited(), anyio.fail_after(self.settings.store_s_max):
                    if self.first_use is not None and stream_id == AUDIT_STREAM:
                        await self.first_use(place)
                    await self._append(stream_id, recorded, place)
            except (EventspineError, TimeoutError) as error:
                if isinstance(error, EventspineError) and error.code in _WRONG:
                    raise
                first = first or error
            else:
                self.stored += len(events)
                return
        self.failed += len(events)
        why = f"no answer within {self.settings.store_s_max:g} s" if not str(first) else str(first)
        raise AuditUnavailable(f"no audit record: {why}", retry_after_s=5) from first

    def statistics(self) -> AuditStatistics:
        return self.queue.statistics(self.stored, self.failed)


_WRONG = frozenset(["invalid_event", "invalid_json", "too_large", "invalid_id"])


def _moved(event: Mapping[str, Any], meant_for: RequestContext) -> dict[str, Any]:
    """A record that is kept elsewhere says where it belongs."""
    payload = event["payload"]
    scope = meant_for.model_dump(include={"tenant_id", "env", "mode", "project_id"})
    metadata = {**(payload.get("metadata") or {}), "recorded_for": scope}
    return {**event, "payload": {**payload, "metadata": metadata}}
