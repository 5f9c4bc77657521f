"""Cutover: the moment in which a route leads to the other backend, with nothing lost or doubled.

    hold      new operations of the route wait in the turn of its owner; stragglers are turned back
    drain     what was submitted is settled, on both backends
    compare   the heads of all that has changed since the last comparison
    save      the registry, durably: from here on a crash comes back at the new backend
    swap      the owner's handle, the mirror's direction, the way of the readers; in one go
    release   who waited goes on at the new backend
    hand over readers of streams at the old backend find theirs at the new one

Rules: up to `save` anything that goes wrong, or takes longer than `switch_hold_s_max`, releases
the old backend as it was. From `save` to `swap` nothing can be refused. An old backend that is down
is left without asking it: what it acknowledged is at the new one as long as that has followed.
What a hold takes depends on what was written since it was looked at just before, never on how many
streams there are: their heads are compared and their owners forgotten ahead of it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from eventspine.actors.fence import Fence
from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActor, RouteActors
from eventspine.actors.view import HostView
from eventspine.contracts.errors import EventspineError, SwitchRefused
from eventspine.contracts.route import ResourceRoute
from eventspine.runtime.directory import Directory
from eventspine.services.routing.service import RouteService
from eventspine.services.switching.comparing import heads_differ
from eventspine.services.switching.moving import Moving
from eventspine.services.switching.reach import Reach

KEYS_A_PASS = 256
LOOKS_AHEAD = 100


class Cutover:
    """Args: hold_s: the longest hold. `paused_s`: how long it was, once `run` is over."""

    def __init__(
        self,
        moving: Moving,
        routes: RouteService,
        actors: RouteActors[StreamHost],
        hold_s: float,
    ) -> None:
        self.paused_s = 0.0
        self._moving = moving
        self._routes = routes
        self._actors = actors
        self._hold_s = hold_s

    async def run(self, wanted: ResourceRoute, revision: int, by: str | None) -> None:
        """Lead the route to the follower. Raises SwitchRefused, or what the registry raises.

        Args:
            wanted: the row as it shall be.
            revision: what the row has to be at.
        """
        old = self._moving.primary
        await self._look_ahead()
        self._moving.mirror.unread.clear()
        await forget_actors(self._moving.follower, self._moving.reach)
        with anyio.CancelScope(shield=True):
            await self._routes.switch(wanted.spec, revision, by, self._hold)
            await hand_over(old, self._moving.reach)

    async def _look_ahead(self) -> None:
        """Compare what has changed before anybody has to wait; what differs may be on its way."""
        touched = self._moving.mirror.touched
        for _ in range(LOOKS_AHEAD):
            before = len(touched)
            if self._moving.primary.store is None or await heads_differ(self._moving) is None:
                return
            if len(touched) >= before:
                return  # what is left is written all the time

    async def _hold(self, save: Callable[[], Awaitable[None]]) -> None:
        async def work(actor: RouteActor[StreamHost]) -> None:
            began = time.perf_counter()
            try:
                await self._cut(actor, save)
            finally:
                self.paused_s = time.perf_counter() - began

        await self._actors.during(self._moving.reach.row, work)

    async def _cut(
        self, actor: RouteActor[StreamHost], save: Callable[[], Awaitable[None]]
    ) -> None:
        moving = self._moving
        old, new, reach = moving.primary, moving.follower, moving.reach
        fence = Fence(reach.row, reach.covers)
        old.fences = (*old.fences, fence)
        self._routes.forget_resolved()
        try:
            await self._drain()
            _forget(new, reach, moving.mirror.unread)
            await save()
        except BaseException:
            old.fences = tuple(one for one in old.fences if one is not fence)
            raise
        route = self._routes.find(reach.row)
        assert route is not None, "it has just been saved"
        new.fences = tuple(one for one in new.fences if one.row != reach.row)
        fence.host = new
        moving.turn_round()
        actor.route, actor.handle = route, new

    async def _drain(self) -> None:
        moving = self._moving
        try:
            with anyio.fail_after(self._hold_s):
                if moving.primary.writer is not None:
                    await moving.primary.writer.passed()
                await moving.wait_level()
                await moving.mirror.quiet()
                is_down = moving.primary.store is None
                found = None if is_down else await heads_differ(moving)
        except TimeoutError:
            raise SwitchRefused(
                f"it was not drained within {self._hold_s} s (switch_hold_s_max); nothing changed"
            ) from None
        except EventspineError as error:
            raise SwitchRefused(f"it could not be drained: {error}; nothing changed") from error
        if found is not None or not moving.is_level:
            raise SwitchRefused(f"the backends are not alike: {found}; nothing changed")


async def forget_actors(host: StreamHost, reach: Reach) -> None:
    """What actors of a follower stand at is not what it has: its commits went past them."""
    for directory in _directories(host, reach):
        keys = directory.known_keys()
        for at in range(0, len(keys), KEYS_A_PASS):
            _forget(host, reach, keys[at : at + KEYS_A_PASS])
            await checkpoint()


def _forget(host: StreamHost, reach: Reach, keys: Iterable[str]) -> None:
    directories = _directories(host, reach)
    for key in keys:
        for directory in directories:
            if _is_ours(directory, key, reach):
                directory.reset(key, "another backend was primary")


async def hand_over(old: StreamHost, reach: Reach) -> None:
    """Readers of streams that have moved are woken, and go on at the other backend."""
    for count, key in enumerate(old.directory.known_keys(), 1):
        actor = old.directory.peek(key)
        if actor is not None and actor.audience is not None and _is_ours(old.directory, key, reach):
            await _activate(old.successor(key, reach.row.mode), key)
            old.directory.reset(key, "the route leads to another backend")
        if count % KEYS_A_PASS == 0:
            await checkpoint()
    await forget_actors(old, reach)


def _directories(host: StreamHost, reach: Reach) -> list[Directory[Any]]:
    journals = host.journals.get(reach.row.resource_kind)
    return [host.directory] if journals is None else [host.directory, journals.directory]


def _is_ours(directory: Directory[Any], key: str, reach: Reach) -> bool:
    """Not of another mode, which another route serves here, with commits on their way."""
    if not reach.holds(key):
        return False
    actor = directory.peek(key)
    return actor is None or actor.mode in (None, reach.row.mode)


async def _activate(host: HostView, key: str) -> None:
    """Wake the new owner, so that a thousand readers find it at once and do not queue for it."""
    try:
        await host.actor(key)
    except EventspineError:
        return  # they ask for it themselves
