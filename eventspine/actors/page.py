"""Reading a stream: pages after or before a position, and the wait for the next event."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from eventspine.actors.audience import Reader
from eventspine.actors.lookup import LATEST, gone, position, position_now
from eventspine.actors.stream import StreamActor, check_mode
from eventspine.actors.view import HostView
from eventspine.contracts.answers import Page
from eventspine.contracts.cursor import Cursor


async def page_after(
    host: HostView, key: str, mode: str, after: str | None, limit: int, wait_s: float
) -> Page:
    """At most `limit` events after a position, in order; waits for the first one if asked to."""
    actor = await host.actor(key)
    check_mode(actor, mode)
    sequence, epoch = await position(host, actor, after), actor.epoch
    if wait_s > 0 and sequence >= actor.committed and not actor.closed:
        if host.successor(key, mode) is host:
            await _wait_beyond(host, actor, sequence, wait_s)
        if actor.epoch != epoch:
            raise gone(actor, str(Cursor(epoch, sequence)))
        check_mode(actor, mode)
    return _page(actor, await read_lines(host, actor, sequence, limit), sequence + 1)


def page_after_now(
    host: HostView, key: str, mode: str, after: str | None, limit: int
) -> Page | None:
    """page_after where nothing has to be waited for, or looked up; None elsewhere."""
    actor = host.directory.peek(key)
    if actor is None:
        return None
    check_mode(actor, mode)
    sequence = position_now(actor, after)
    if sequence is None:
        return None
    count, lines = min(limit, actor.committed - sequence), None
    if count > 0:
        room = host.limits.page_bytes_max
        lines = host.open_store().read_nowait(actor.key, sequence + 1, count, room)
        if lines is None:
            return None
    return _page(actor, lines or [], sequence + 1)


async def page_before(
    host: HostView, key: str, mode: str, before: str, after: str | None, limit: int
) -> Page:
    """The last `limit` events before a position (and after another), in ascending order."""
    actor = await host.actor(key)
    check_mode(actor, mode)
    end = actor.committed + 1 if before == LATEST else await position(host, actor, before)
    first = max(end - limit, await position(host, actor, after) + 1, 1)
    lines: Sequence[bytes] = []
    while first + len(lines) < end:
        got = first + len(lines)
        piece = await read_lines(host, actor, got - 1, end - got)
        if not piece:
            break
        lines = newest([*lines, *piece], host.limits.page_bytes_max)
        first = got + len(piece) - len(lines)
    return _page(actor, lines, first)


def newest(lines: Sequence[bytes], bytes_max: int) -> Sequence[bytes]:
    """The last lines that fit, one at least."""
    start, room = len(lines), bytes_max
    while start and (room >= len(lines[start - 1]) or start == len(lines)):
        start -= 1
        room -= len(lines[start])
    return lines[start:]


def _page(actor: StreamActor, lines: Sequence[bytes], first: int) -> Page:
    end = Cursor(actor.epoch, first + len(lines) - 1)
    return Page(lines, first, end, actor.head, actor.earliest, actor.closed)


async def read_lines(
    host: HostView, actor: StreamActor, after: int, limit: int, bytes_max: int | None = None
) -> Sequence[bytes]:
    """Durable lines after a sequence, at most `limit` and `bytes_max` (or `page_bytes_max`)."""
    count = min(limit, actor.committed - after)
    if count <= 0:
        return []
    store, epoch = host.open_store(), actor.epoch
    room = host.limits.page_bytes_max if bytes_max is None else bytes_max
    lines = store.read_nowait(actor.key, after + 1, count, room)
    if lines is None:
        lines = await store.read(actor.key, after + 1, count, room)
        if actor.epoch != epoch:  # deleted meanwhile: these may be events of another life
            raise gone(actor, str(Cursor(epoch, after)))
    return lines


async def _wait_beyond(host: HostView, actor: StreamActor, sequence: int, wait_s: float) -> None:
    """Wait until something is after `sequence` or the stream ends, at most `wait_s` seconds."""
    epoch, reader = actor.epoch, Reader()
    actor.join(reader, host.later)
    host.readers.add(reader)
    host.long_polls += 1
    try:
        with anyio.move_on_after(wait_s):
            while actor.committed <= sequence and actor.epoch == epoch:
                if actor.closed or actor.gone or host.draining:
                    return
                reader.ticket = host.new_ticket()
                await reader.ticket
    finally:
        host.long_polls -= 1
        host.readers.discard(reader)
        actor.leave(reader)
