"""Driving: the work of open switches between their steps: copy, follow, try again.

Job: bring the streams of a switch level and keep them so until it ends, as a service for the
supervisor. What a backend fails with is tried again; a refusal waits until somebody runs it again.
"""

from __future__ import annotations

import logging
from collections import defaultdict

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActors
from eventspine.contracts.errors import Draining, EventspineError, SwitchRefused
from eventspine.contracts.switch import Switch, SwitchState
from eventspine.services.routing.service import RouteService
from eventspine.services.switching.kept import KeptSwitches, is_adrift
from eventspine.services.switching.moving import Moving
from eventspine.services.switching.reach import Reach
from eventspine.services.switching.resting import found_again, mark
from eventspine.services.switching.tally import Tally

log = logging.getLogger(__name__)
TRY_AGAIN_S = 1.0
S = SwitchState


class Driving:
    """`moving`: the switches at work, by id."""

    def __init__(
        self, kept: KeptSwitches, routes: RouteService, actors: RouteActors[StreamHost]
    ) -> None:
        self.moving: dict[str, Moving] = {}
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)  # by kind of store
        self._kept = kept
        self._routes = routes
        self._actors = actors
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._poked: dict[str, anyio.Event] = {}
        self._tasks: TaskGroup | None = None
        self.refused: set[str] = set()  # those that wait for somebody to run them again
        self.stopping = False

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Drive every open switch until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self._scopes.clear()
            for switch in self._kept.all:
                if switch.is_open and switch.state is not S.PREPARED:
                    self.begin(switch)
            task_status.started()
            await anyio.sleep_forever()

    async def resume(self) -> None:
        """Before anything is written: what a clean stop left verified still is, if it is found."""
        stopped, self._kept.stopped = self._kept.stopped, {}
        for was in stopped.values():
            try:
                await self._resume(was)
            except (EventspineError, OSError) as error:
                log.warning("switch %s: %s", was.id, error)  # it is looked at from the beginning

    async def _resume(self, was: Switch) -> None:
        now = self._kept.by_id(was.id)
        if was.state is not S.VERIFIED or now.state is not S.COPYING or was.clean_stop is None:
            return
        moving = await self._moving(now)
        if await found_again(moving, was.clean_stop, self._routes.revision):
            await self._kept.change(was.id, state=was.state, verification=was.verification)

    async def rest(self) -> None:
        """When nothing new is taken any more: mark what is verified, for the next start."""
        self.stopping = True
        for switch in self._kept.all:
            moving = self.moving.get(switch.id)
            if switch.state is S.VERIFIED and moving is not None and moving.follows:
                await self._mark(switch, moving)

    async def _mark(self, switch: Switch, moving: Moving) -> None:
        """Without a mark it is verified anew: no reason to end with a failure."""
        try:
            stop = await mark(moving, self._routes.revision)
            if stop is not None:
                await self._kept.change(switch.id, clean_stop=stop)
        except (EventspineError, OSError) as error:
            log.warning("switch %s gets no mark: %s", switch.id, error)

    async def settled(self) -> None:
        """Until what is verified is level; a stream that has just begun is not yet."""
        for switch in self._kept.all:
            moving = self.moving.get(switch.id)
            if switch.state is S.VERIFIED and moving is not None and moving.follows:
                await moving.wait_level()

    def begin(self, switch: Switch) -> None:
        """Drive a switch from now on; one that waits after a refusal tries again."""
        self.refused.discard(switch.id)
        if switch.id in self._scopes:
            self._poked[switch.id].set()
        elif self._tasks is not None:
            self._scopes[switch.id] = anyio.CancelScope()
            self._poked[switch.id] = anyio.Event()
            self._tasks.start_soon(self._drive, switch.id)

    def end(self, switch: Switch) -> None:
        """The switch has ended: its route's backend is written alone."""
        scope = self._scopes.pop(switch.id, None)
        if scope is not None:
            scope.cancel()
        moving = self.moving.pop(switch.id, None)
        if moving is not None:
            moving.detach()

    async def _drive(self, switch_id: str) -> None:
        with self._scopes[switch_id]:
            while True:
                try:
                    await self._keep_level(switch_id)
                except SwitchRefused as error:
                    self._poked[switch_id] = anyio.Event()
                    self.refused.add(switch_id)
                    await self._say(switch_id, error)
                    await self._poked[switch_id].wait()
                except Draining:
                    await anyio.sleep_forever()  # the process stops; the next one goes on
                except (EventspineError, OSError) as error:
                    if self.stopping:
                        await anyio.sleep_forever()  # a backend was closed before this
                    await self._say(switch_id, error)
                    await anyio.sleep(TRY_AGAIN_S)

    async def _say(self, switch_id: str, error: Exception) -> None:
        log.warning("switch %s: %s", switch_id, error)
        if self._kept.by_id(switch_id).error != str(error):
            await self._kept.change(switch_id, error=str(error))

    async def _keep_level(self, switch_id: str) -> None:
        """Level, then wait until something lags: for ever. Raises what a backend fails with."""
        moving = await self._moving(self._kept.by_id(switch_id))
        while True:
            await moving.level()
            falls = moving.falls
            await self._is_level(switch_id)
            await moving.wait_lagging()
            if moving.falls != falls:
                await self._has_fallen(switch_id, moving)

    async def _moving(self, switch: Switch) -> Moving:
        found = self.moving.get(switch.id)
        if found is not None:
            return found
        row = self._routes.find(switch.key)
        if row is None or is_adrift(switch, row):
            raise SwitchRefused(switch.error or "the route leads elsewhere")
        primary = (await self._actors.resolve(switch.key)).handle
        follower = await self._actors.open(switch.follower.in_place_of(row))
        reach = Reach(switch.key, [route.key for route in self._routes.list()])
        tally = self.tallies[switch.resource_kind]
        moving = self.moving[switch.id] = Moving(reach, primary, follower, tally)
        return moving

    async def _is_level(self, switch_id: str) -> None:
        switch = self._kept.by_id(switch_id)
        progress = self.moving[switch_id].progress
        if switch.state is S.COPYING:
            await self._kept.change(switch_id, state=S.DUAL_WRITING, error=None, progress=progress)
        elif switch.error is not None and switch.verification is None:
            await self._kept.change(switch_id, error=None, progress=progress)
        else:
            self._kept.tell()

    async def _has_fallen(self, switch_id: str, moving: Moving) -> None:
        """Everything lags: what was verified is not so any more."""
        before = self._kept.by_id(switch_id).state
        state = S.COPYING if before in (S.DUAL_WRITING, S.VERIFIED) else before
        await self._kept.change(switch_id, state=state, verification=None, error=moving.fell)
