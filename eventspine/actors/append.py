"""Deciding an append: from drafts and a stream's state to the lines to commit. No await, no I/O.

Source: DESIGN decisions 3 and 7, R-05. Order of the answers: scope, known ids (an event that is
already there is answered again, closed stream or not), closed, expected position, size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import (
    EventConflict,
    InvalidEvent,
    PreconditionFailed,
    ScopeMismatch,
    StreamClosed,
    TooLarge,
)
from eventspine.contracts.event_id import new_event_id
from eventspine.contracts.wire import (
    STORED_LINE,
    Draft,
    Instant,
    encode_json,
    event_type_json,
    json_inside,
    parse_line,
    says_the_same,
)

EMPTY = Cursor(0, 0)


class Stamp(NamedTuple):
    """What the context of one request puts into each of its events."""

    mode: str
    metadata: bytes  # JSON object
    metadata_values: Mapping[str, str]


class Position(NamedTuple):
    """Where a stream stands when an append is decided."""

    epoch: int
    sequence: int
    closed: bool
    mode: str | None


class Decision(NamedTuple):
    """`lines` are new, numbered from the position on; `answers` and their sequences are all."""

    lines: list[bytes]
    answers: list[bytes]
    sequences: list[int]
    new_ids: dict[str, int]


Known = Mapping[str, tuple[int, bytes]]
NOTHING: Known = {}


def decide(
    at: Position,
    drafts: Sequence[Draft],
    stamp: Stamp,
    now: Instant,
    address: bytes,
    *,
    known: Known = NOTHING,
    expected: Cursor | None = None,
    event_bytes_max: int,
) -> Decision:
    """Number the new events among `drafts` and build their lines.

    Args:
        address: the `"stream_id":…,"routing":…,` part of every line of the stream.
        known: events of the stream that carry one of the drafts' ids.
        expected: the position the caller decided on; EMPTY for "nothing yet".
    """
    if at.mode is not None and at.mode != stamp.mode:
        _mismatch("mode", stamp.mode, at.mode)
    decision = Decision([], [], [], {})
    lines, answers, sequences, new_ids = decision
    sequence = at.sequence
    for draft in drafts:
        event_id = draft.event_id
        if event_id is not None:
            stored = known.get(event_id)
            if stored is None and event_id in new_ids:  # it stands earlier in the same batch
                stored = new_ids[event_id], lines[new_ids[event_id] - at.sequence - 1]
            if stored is not None:
                _check_same(draft, event_id, at.epoch, stored)
                sequences.append(stored[0])
                answers.append(stored[1])
                continue
            new_ids[event_id] = sequence + 1
        sequence += 1
        line = line_of(at.epoch, sequence, draft, stamp, now, address, event_bytes_max)
        lines.append(line)
        answers.append(line)
        sequences.append(sequence)
    if lines and (at.closed or expected is not None):
        _check_open(at, expected)
    return decision


def line_of(
    epoch: int,
    sequence: int,
    draft: Draft,
    stamp: Stamp,
    now: Instant,
    address: bytes,
    event_bytes_max: int,
) -> bytes:
    """The stored line of a draft that gets `sequence`. Raises TooLarge."""
    metadata = stamp.metadata
    if draft.metadata:
        metadata = encode_json({**draft.metadata, **stamp.metadata_values})
    line = STORED_LINE % (
        sequence,
        epoch,
        sequence,
        new_event_id(now.id_time, sequence)
        if draft.event_id is None
        else json_inside(draft.event_id),
        now.ts if draft.ts is None else encode_json(draft.ts)[1:-1],
        event_type_json(draft.event_type),
        address,
        metadata,
        draft.payload,
    )
    if len(line) > event_bytes_max:
        _refuse_size(len(line), event_bytes_max)
    return line


def _check_same(draft: Draft, event_id: str, epoch: int, stored: tuple[int, bytes]) -> None:
    if not says_the_same(draft, parse_line(stored[1])):
        cursor = str(Cursor(epoch, stored[0]))
        raise EventConflict(
            f"event id {event_id!r} belongs to another event, at {cursor}",
            event_id=event_id,
            cursor=cursor,
        )


def _check_open(at: Position, expected: Cursor | None) -> None:
    current = Cursor(at.epoch, at.sequence)
    if at.closed:
        raise StreamClosed(f"the stream was closed at {current}", cursor=str(current))
    if expected is None or expected == current or (expected == EMPTY and at.sequence == 0):
        return
    text = "0" if expected == EMPTY else str(expected)
    raise PreconditionFailed(
        f"expected {text}, the stream is at {current}",
        expected=text,
        current=str(current),
    )


def _refuse_size(size: int, maximum: int) -> None:
    raise TooLarge(
        f"an event of {size} bytes as stored, more than {maximum}",
        limit="event_bytes_max",
        maximum=maximum,
        actual=size,
    )


_METADATA_FIELDS = (
    "request_id",
    "trace_id",
    "user_id",
    "surface_id",
    "run_id",
    "app_id",
    "actor_type",
    "tenant_id",
    "mode",
)


def check_stated(
    draft: Draft, stream_id: str, routing: Mapping[str, str], metadata: Mapping[str, str]
) -> None:
    """What an event says of itself must agree with its context. Raises ScopeMismatch."""
    if draft.stream_id is not None and draft.stream_id != stream_id:
        _mismatch("stream_id", draft.stream_id, stream_id)
    if draft.routing is not None:
        for field, expected in routing.items():
            stated = getattr(draft.routing, field)
            if stated is not None and stated != expected:
                _mismatch(f"routing.{field}", stated, expected)
    for field in _METADATA_FIELDS if draft.metadata else ():
        stated = (draft.metadata or {}).get(field)
        if stated is None:
            continue
        if not isinstance(stated, str):
            raise InvalidEvent(f"metadata.{field} must be a string")
        if field in metadata and stated != metadata[field]:
            _mismatch(f"metadata.{field}", stated, metadata[field])


def _mismatch(field: str, stated: str, expected: str) -> None:
    raise ScopeMismatch(
        f"{field} is {stated!r}, the context says {expected!r}",
        field=field,
        stated=stated,
        expected=expected,
    )
