"""Comparing: every stream behind a route, on both backends, by count and SHA-256 over its lines.

Streams go on being written meanwhile. Each is compared up to where its source stands when it comes
to it, which the other one reaches as soon as what is on its way has arrived.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

import anyio
from anyio.lowlevel import checkpoint

from eventspine.contracts.stores import EventStreamStore, StreamHead
from eventspine.contracts.switch import Verification
from eventspine.services.switching.moving import Moving, keys_behind

PIECE_EVENTS = 4096
PIECE_BYTES = 256 * 1024
ARRIVES_WITHIN_S = 10.0


class _Lines(NamedTuple):
    """What a stream holds on one side up to a sequence."""

    events: int
    sha256: str


class _Alike(NamedTuple):
    lines: _Lines
    difference: str | None = None


async def compare(moving: Moving) -> Verification:
    """Compare both sides. Raises what a backend fails with, and TimeoutError."""
    whole, events = hashlib.sha256(), 0
    keys = sorted(moving.mirror.followed)
    difference = await _only_there(moving)
    for key in keys:
        if difference is not None:
            break
        moving.mirror.touched.discard(key)
        found = await _compared(moving, key)
        whole.update(f"{key} {found.lines.events} {found.lines.sha256}\n".encode())
        events += found.lines.events
        difference = found.difference
    return Verification(
        at=datetime.now(UTC),
        streams=len(keys),
        events=events,
        sha256=whole.hexdigest(),
        difference=difference,
    )


async def _only_there(moving: Moving) -> str | None:
    """A stream of the route that the follower alone has."""
    mirror = moving.mirror
    for key in await keys_behind(moving.follower, moving.reach):
        if key in mirror.followed or key in mirror.lagging:
            continue
        head = await moving.follower.open_store().head(key)
        if head.mode == moving.reach.row.mode and head.sequence:
            return f"{key} is at {moving.follower.name} alone"
    return None


async def _compared(moving: Moving, key: str) -> _Alike:
    """Both sides of one stream; begun again when it was deleted meanwhile."""
    source, target = moving.primary.open_store(), moving.follower.open_store()
    with anyio.fail_after(ARRIVES_WITHIN_S):
        while True:
            head = await source.head(key)
            there = await target.head(key)
            if _has_arrived(there, head):
                break
            await moving.mirror.wait()
    here = await _read(source, key, head.sequence)
    that = await _read(target, key, head.sequence)
    if (await source.head(key)).epoch != head.epoch:
        return await _compared(moving, key)
    if here == that:
        return _Alike(here)
    return _Alike(here, f"{key}: {_said(here)} at {moving.primary.name}, {_said(that)} there")


def _has_arrived(there: StreamHead, head: StreamHead) -> bool:
    return (
        there.epoch == head.epoch
        and there.sequence >= head.sequence
        and (there.closed or not head.closed)
    )


async def _read(store: EventStreamStore, key: str, last: int) -> _Lines:
    digest, at = hashlib.sha256(), 0
    while at < last:
        await checkpoint()
        lines = await store.read(key, at + 1, min(PIECE_EVENTS, last - at), PIECE_BYTES)
        if not lines:
            break
        for line in lines:
            digest.update(line)
            digest.update(b"\n")
        at += len(lines)
    return _Lines(at, digest.hexdigest())


def _said(lines: _Lines) -> str:
    return f"{lines.events} events, {lines.sha256[:16]}"


async def heads_differ(moving: Moving) -> str | None:
    """Look at the heads of what has changed since it was compared last; one that differs.

    What differs is looked at again the next time, and nothing else.
    """
    touched, found = moving.mirror.touched, None
    source, target = moving.primary.open_store(), moving.follower.open_store()
    for key in tuple(touched):
        touched.discard(key)
        head, there = await source.head(key), await target.head(key)
        if head != there and key in moving.mirror.followed:
            touched.add(key)
            found = f"{key}: {head} at {moving.primary.name}, {there} there"
        await checkpoint()
    return found
