"""From what a caller hands over to the parts of a stored line. No I/O; results are cached."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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


class Place(NamedTuple):
    """Where a stream is: the key of its actor, and what its stored lines have in common."""

    key: str
    address: bytes


def place_of(stream_id: str, prefix: str, routing_json: bytes) -> Place:
    """The place of a stream in a scope. Raises InvalidId."""
    segment = path_segment(checked_id(stream_id, "stream_id"))
    address = b'"stream_id":%b,"routing":%b,' % (encode_json(stream_id), routing_json)
    return Place(prefix + segment, address)


def metadata_of(context: RequestContext) -> dict[str, str]:
    """What a context says in the metadata of its events, in the order in which it is stored."""
    return {name: getattr(context, name) for name in _METADATA if getattr(context, name)}


def stamp_of(context: RequestContext) -> Stamp:
    """What a context puts into its events. Kept on the context."""
    stamp: Stamp | None = context.__dict__.get("_stamp")
    if stamp is None:
        values = metadata_of(context)
        stamp = context.__dict__["_stamp"] = Stamp(context.mode, encode_json(values), values)
    return stamp


def is_plain(draft: Draft) -> bool:
    """Whether a draft says nothing that has to be looked up or compared."""
    return (
        draft.event_id is None
        and draft.metadata is None
        and draft.stream_id is None
        and draft.routing is None
    )
