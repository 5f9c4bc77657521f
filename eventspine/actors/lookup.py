"""Finding an event by its id, and the position a client's text points at.

An id the product made carries its sequence, so it is found by reading that one event. Any other id
is looked up in the stream's id index, which the owner loads when the first such id comes along.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from eventspine.actors.append import NOTHING, Known
from eventspine.actors.stream import StreamActor
from eventspine.actors.view import HostView
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import CursorGone, InvalidCursor
from eventspine.contracts.event_id import sequence_in
from eventspine.contracts.ids import ID_BYTES_MAX
from eventspine.contracts.wire import Draft, event_id_of

LATEST = "latest"
NEIGHBOURS = 128
NEIGHBOUR_BYTES = 64 * 1024


def needs_lookup(actor: StreamActor, drafts: Sequence[Draft]) -> bool:
    """Whether one of the drafts may be in the stream already, so that somebody has to look."""
    for draft in drafts:
        if draft.event_id is None:
            continue
        own = sequence_in(draft.event_id)
        if own is not None and own <= actor.sequence:
            return True
        if actor.ids is None or actor.ids.candidates(draft.event_id):
            return True
    return False


async def known_events(host: HostView, actor: StreamActor, ids: Sequence[str]) -> Known:
    """The stored or pending events that carry one of `ids`. Runs inside the actor's turn."""
    if not ids:
        return NOTHING
    index = actor.ids  # by this name: an outage while we look takes the actor's away
    if index is None:
        index = await host.open_store().ids(actor.key)
        for commit in actor.pending or ():
            for n, line in enumerate(commit.lines):
                index.add(event_id_of(line), commit.first_sequence + n)
        actor.ids = index
    known, lines = {}, _Lines(host, actor)
    for event_id in ids:
        found = await _holder(lines, event_id, index.candidates(event_id))
        if found is not None:
            known[event_id] = found
    return known


class _Lines:
    """Lines of a stream by sequence, pending ones too. A batch sent again asks for neighbours."""

    def __init__(self, host: HostView, actor: StreamActor) -> None:
        self._host = host
        self._actor = actor
        self._read: dict[int, bytes] = {}

    async def get(self, sequence: int) -> bytes | None:
        actor = self._actor
        pending = actor.pending_line(sequence)
        if pending is not None or not 1 <= sequence <= actor.committed:
            return pending[0] if pending else None
        if sequence not in self._read:
            store = self._host.open_store()
            lines = await store.read(actor.key, sequence, NEIGHBOURS, NEIGHBOUR_BYTES)
            self._read = dict(enumerate(lines, sequence))
        return self._read.get(sequence)


async def _holder(
    lines: _Lines, event_id: str, candidates: Sequence[int]
) -> tuple[int, bytes] | None:
    own = sequence_in(event_id)
    for sequence in (*candidates, *(() if own is None else (own,))):
        line = await lines.get(sequence)
        if line is not None and event_id_of(line) == event_id:
            return sequence, line
    return None


async def position(host: HostView, actor: StreamActor, text: str | None) -> int:
    """The sequence that a cursor, an event id, `latest` or None (the start) points at.

    Raises:
        InvalidCursor: neither a cursor nor an id that could be in a stream.
        CursorGone: of another epoch, beyond the head, or an id this stream does not hold.
    """
    sequence = position_now(actor, text)
    if sequence is None:
        assert text is not None, "the start is a position"
        sequence = await _sequence_of(host, actor, text)
        if sequence is None:
            raise gone(actor, text)
    return sequence


def position_now(actor: StreamActor, text: str | None) -> int | None:
    """`position` of all but an event id, which has to be looked up: None for one."""
    if text is None:
        return 0
    if text == LATEST:
        return actor.committed
    if Cursor.looks_like(text):
        cursor = Cursor.parse(text)
        if cursor.epoch == actor.epoch and cursor.sequence <= actor.committed:
            return cursor.sequence
        raise gone(actor, text)
    if not text or len(text.encode(errors="replace")) > ID_BYTES_MAX:
        raise InvalidCursor("the position is neither a cursor nor an event id")
    return None


def gone(actor: StreamActor, requested: str) -> CursorGone:
    return CursorGone(
        f"{requested!r} is not a position in this stream",
        requested=requested,
        earliest=str(actor.earliest),
        latest=str(actor.head),
    )


async def _sequence_of(host: HostView, actor: StreamActor, event_id: str) -> int | None:
    found = await _holder(_Lines(host, actor), event_id, ())
    if found is None:
        known = await host.directory.turn(actor.key, _looking_for(host, event_id))
        found = known.get(event_id)
    return found[0] if found and found[0] <= actor.committed else None


def _looking_for(host: HostView, event_id: str) -> Callable[[StreamActor], Awaitable[Known]]:
    return lambda owner: known_events(host, owner, [event_id])
