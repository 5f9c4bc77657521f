"""Reading only those events of a stream that a filter takes, in bounded pieces.

Rules: it reads on until it has what was asked for, or has read `read_max` events; `next` says how
far it came, so that asking again from there misses nothing and doubles nothing. The loop is given
back between pieces. Source: FN-32, DESIGN decision 8.
"""

from __future__ import annotations

from anyio.lowlevel import checkpoint

from eventspine.actors.lookup import gone, position
from eventspine.actors.page import read_lines
from eventspine.actors.stream import check_mode
from eventspine.actors.view import HostView
from eventspine.contracts.answers import Selection
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.stream_filter import StreamFilter

PIECE_EVENTS = 256
PIECE_BYTES = 256 * 1024


async def select(
    host: HostView,
    key: str,
    mode: str,
    after: str | None,
    wanted: StreamFilter,
    limit: int,
    read_max: int,
) -> Selection:
    """At most `limit` matching events after a position, in order, out of at most `read_max`."""
    actor = await host.actor(key)
    check_mode(actor, mode)
    began = at = await position(host, actor, after)
    epoch, room = actor.epoch, host.limits.page_bytes_max
    lines: list[bytes] = []
    while at < actor.committed and len(lines) < limit and room > 0 and at - began < read_max:
        count = min(PIECE_EVENTS, read_max - (at - began))
        piece = await read_lines(host, actor, at, count, PIECE_BYTES)
        if not piece:
            break
        for line in piece:
            if wanted.matches(line):
                room -= len(line)
                if room < 0 and lines:
                    break
                lines.append(line)
            at += 1
            if len(lines) == limit:
                break
        await checkpoint()
        if actor.epoch != epoch:
            raise gone(actor, str(Cursor(epoch, at)))
    end = Cursor(epoch, at)
    return Selection(lines, end, actor.head, actor.earliest, actor.closed, at - began)
