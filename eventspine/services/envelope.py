"""From what a caller hands over to the parts of a stored line. No I/O; results are cached."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from eventspine.actors.append import EMPTY, Stamp
from eventspine.contracts.context import RequestContext
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.event import NewEvent, StreamEvent
from eventspine.contracts.ids import checked_id, path_segment
from eventspine.contracts.wire import Draft, draft_of, encode_json

Event = NewEvent | StreamEvent | Mapping[str, Any]
_METADATA = ("request_id", "trace_id", "user_id", "surface_id", "run_id", "app_id", "actor_type")


def to_draft(event: Event) -> Draft:
    """The draft of an event in any of the forms a program may hold it."""
    if not isinstance(event, dict) and isinstance(event, NewEvent | StreamEvent):
        event = event.model_dump(mode="python", exclude_none=True, exclude={"sequence", "cursor"})
    return draft_of(event)


def name_events(drafts: Sequence[Draft], idempotency_key: str) -> None:
    """Ids for events that state none: the same for the same key and place in the body."""
    checked_id(idempotency_key, "Idempotency-Key")
    for n, draft in enumerate(drafts):
        if draft.event_id is None:
            digest = hashlib.sha256(f"{n}:{idempotency_key}".encode()).hexdigest()
            draft.event_id = f"idem-{digest[:40]}"


def position_of(text: str) -> Cursor:
    """The expected position a caller states; "0" means nothing yet."""
    return EMPTY if text == "0" else Cursor.parse(text)


@lru_cache(maxsize=65_536)
def segment_of(stream_id: str) -> str:
    """The path segment of a stream id. Raises InvalidId."""
    return path_segment(checked_id(stream_id, "stream_id"))


@lru_cache(maxsize=65_536)
def address_of(stream_id: str, routing_json: bytes) -> bytes:
    """The part of a stored line that is the same for a whole stream."""
    return b'"stream_id":%b,"routing":%b,' % (
        encode_json(checked_id(stream_id, "stream_id")),
        routing_json,
    )


def stamp_of(context: RequestContext, unix_ms: int, ts: bytes) -> Stamp:
    """What a context puts into its events. Kept on the context for as long as the clock says so."""
    known: Stamp | None = context.__dict__.get("_stamp")
    if known is not None and known.unix_ms == unix_ms:
        return known
    if known is None:
        values = {name: getattr(context, name) for name in _METADATA if getattr(context, name)}
        stamp = Stamp(context.mode, encode_json(values), values, unix_ms, ts)
    else:
        stamp = known._replace(unix_ms=unix_ms, ts=ts)
    context.__dict__["_stamp"] = stamp
    return stamp
