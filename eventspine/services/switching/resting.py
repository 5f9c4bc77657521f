"""Resting: what was verified is so after a clean stop, if nobody has touched either side meanwhile.

Job: the mark that a switch gets when the process that mirrored it ends in good order, and whether
it holds at the next start, before anything is written there.
Rules:
- The mark is of a moment in which nothing is taken any more and both have all: the registry's
  revision and a SHA-256 over the head of every stream, which was the same on both sides.
- It is taken away, durably, before a backend is opened. A process that ends in any other way leaves
  none, and what it verified is verified anew.
- It holds when the registry is where it was and both sides have these heads, for these streams.
Limits: what changes a line and leaves its number is for the checksums of a store to find.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import anyio
from anyio.lowlevel import checkpoint

from eventspine.actors.host import StreamHost
from eventspine.contracts.errors import EventspineError
from eventspine.contracts.switch import CleanStop
from eventspine.services.switching.moving import Moving, keys_behind

HEADS_S_MAX = 5.0  # how long a start, or a stop, may take over it
HEADS_A_PASS = 256


async def mark(moving: Moving, revision: int) -> CleanStop | None:
    """The mark of a switch whose backends take nothing new; None: they are not alike.

    Args:
        revision: of the registry.
    """
    with anyio.move_on_after(HEADS_S_MAX):
        try:
            if moving.primary.writer is not None:
                await moving.primary.writer.passed()
            await moving.mirror.quiet()
            keys = sorted(moving.mirror.followed)
            here = await _heads(moving.primary, keys)
            there = await _heads(moving.follower, keys)
        except EventspineError:
            return None
        if moving.is_level and moving.follows and here == there:
            return CleanStop(revision=revision, streams=len(keys), heads_sha256=here)
    return None


async def found_again(moving: Moving, stop: CleanStop, revision: int) -> bool:
    """Whether both sides are as they were marked: then everything is followed from now on.

    Nothing may be written to either of them before this has answered.
    """
    if stop.revision != revision:
        return False
    with anyio.move_on_after(HEADS_S_MAX):
        try:
            keys = await _ours(moving)
            if len(keys) != stop.streams:
                return False
            for host in (moving.primary, moving.follower):
                if await _heads(host, keys) != stop.heads_sha256:
                    return False
        except (EventspineError, OSError):
            return False
        moving.follow_on(keys)
        return True
    return False


async def _ours(moving: Moving) -> list[str]:
    """The keys of the route, in order, without those that another mode has here."""
    mode, store = moving.reach.row.mode, moving.primary.open_store()
    found = []
    for count, key in enumerate(sorted(await keys_behind(moving.primary, moving.reach)), 1):
        if (await store.head(key)).mode in (None, mode):
            found.append(key)
        if count % HEADS_A_PASS == 0:
            await checkpoint()
    return found


async def _heads(host: StreamHost, keys: Iterable[str]) -> str:
    store, digest = host.open_store(), hashlib.sha256()
    for count, key in enumerate(keys, 1):
        head = await store.head(key)
        digest.update(f"{key} {head.epoch} {head.sequence} {head.closed} {head.mode}\n".encode())
        if count % HEADS_A_PASS == 0:
            await checkpoint()
    return digest.hexdigest()
