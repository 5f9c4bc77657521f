"""Switches: routes that move to another backend with everything behind them.

Job: the steps of a switch (contracts/switch.py), each refused where it would lose data, and kept
durably before it is answered; the work between the steps, as a service for the supervisor.
Rules:
- One open switch at a time for scopes that overlap. While there is one, nothing else changes a row
  that overlaps with it.
- After a start every stream counts as lagging and is looked at again, and what was verified has to
  be verified anew, but after a clean stop (resting.py). A crash between the registry and the switch
  is settled by where the route leads.
- A kind whose truth is more than streams of lines (object_store) is refused.
Source: DESIGN decision 11; the states are those of Vitess' MoveTables, in our words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import NoReturn

import anyio

from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActors
from eventspine.contracts.errors import RouteConflict, SwitchRefused
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceRoute, RouteKey
from eventspine.contracts.switch import Place, Switch, SwitchState
from eventspine.services.routing.service import RouteService
from eventspine.services.switching.comparing import compare
from eventspine.services.switching.cutover import Cutover
from eventspine.services.switching.driving import Driving
from eventspine.services.switching.kept import KeptSwitches, is_adrift
from eventspine.services.switching.moving import Moving, streams_behind
from eventspine.services.switching.reach import Reach, overlap
from eventspine.services.switching.starting import MOVABLE, begun, refuse_start
from eventspine.services.switching.statistics import SwitchStatistics, by_kind

S = SwitchState
Step = Callable[[Switch, Moving], Awaitable[Switch]]


class Switches:
    """The switches of one root. `load` before anything else; `run` below the supervisor."""

    def __init__(
        self, routes: RouteService, actors: RouteActors[StreamHost], limits: Limits
    ) -> None:
        self._routes = routes
        self._actors = actors
        self._hold_s = limits.switch_hold_s_max
        self._kept = KeptSwitches(routes.switch_store, routes.history.notice)
        self._driving = Driving(self._kept, routes, actors)
        self._stepping: set[str] = set()
        self._starting = anyio.Lock()
        self._fenced: list[StreamHost] = []
        self.run, self.resume = self._driving.run, self._driving.resume
        self.settled, self.rest = self._driving.settled, self._driving.rest
        self.wait = self._kept.wait
        routes.refuse_change = self._refuse_change
        routes.left_behind = self.streams_behind
        routes.on_change(self._route_changed)

    async def load(self) -> None:
        """After the registry was loaded, and before its routes are opened."""
        await self._kept.load({route.key: route for route in self._routes.list()})

    # --- what there is ---

    @property
    def changes(self) -> int:
        """Grows with each change of a switch; for `wait`."""
        return self._kept.changes

    def list(self) -> list[Switch]:
        """Every switch that is kept, the newest first."""
        return [self._shown(switch) for switch in reversed(self._kept.all)]

    def get(self, key: RouteKey) -> Switch:
        """The open or the last switch of a route. Raises SwitchNotFound."""
        return self._shown(self._kept.last(key))

    async def streams_behind(self, route: ResourceRoute) -> int:
        """How many streams the backend of a route holds for it."""
        if route.resource_kind not in MOVABLE:
            return 0
        owner = await self._actors.resolve(route.key)
        return await streams_behind(owner.handle, self._reach(route.key))

    def statistics(self) -> tuple[SwitchStatistics, ...]:
        """By kind of store, of those that have had a switch."""
        driving = self._driving
        return by_kind(self._kept.all, driving.moving, driving.tallies, datetime.now(UTC))

    def _shown(self, switch: Switch) -> Switch:
        moving = self._driving.moving.get(switch.id)
        progress = switch.progress if moving is None else moving.progress
        if moving is None:
            progress = progress.model_copy(update={"follows": False})
        return switch.model_copy(update={"progress": progress})

    def _reach(self, key: RouteKey) -> Reach:
        return Reach(key, [route.key for route in self._routes.list()])

    # --- steps ---

    async def start(
        self, key: RouteKey, target: Place, by: str | None = None, reason: str | None = None
    ) -> Switch:
        """Prepare a switch of a route to another backend; nothing is copied yet.

        Raises:
            RouteNotFound, InvalidRoute, UnsupportedBackend, BackendRefusedInMode: as for a route.
            SwitchRefused: there is one already, the backend is the same, or it holds other data.
        """
        async with self._starting:
            route = self._routes.get(key)
            other = self._kept.overlapping(key)
            if other is not None:
                state = other.state.value
                raise SwitchRefused(f"the switch of {'/'.join(other.key)} is {state}", state=state)
            wanted = self._routes.checked(target.in_place_of(route))
            await refuse_start(route, wanted, self._actors, self._reach(key))
            switch = begun(route, wanted, by, reason)
            await self._kept.add(switch)
            return switch

    async def copy(self, key: RouteKey) -> Switch:
        """Begin to copy and to write to both, or try again after a refusal. Does not wait."""
        switch = self._kept.open(key)
        if is_adrift(switch, self._routes.find(key)):
            raise SwitchRefused("the route was changed by something else; finish or cancel")
        if switch.state is S.PREPARED:
            switch = await self._kept.change(switch.id, state=S.COPYING)
        elif switch.error is not None:
            switch = await self._kept.change(switch.id, error=None)
        self._driving.begin(switch)
        return self._shown(switch)

    async def wait_level(self, key: RouteKey) -> Switch:
        """Until everything is copied and written to both. Raises SwitchRefused if it cannot be."""
        while True:
            changes = self.changes
            switch = self._kept.open(key)
            moving = self._driving.moving.get(switch.id)
            if switch.state is S.PREPARED:
                raise SwitchRefused("nothing is copied yet; next: run", state=S.PREPARED.value)
            if switch.state is not S.COPYING and moving is not None and moving.follows:
                return self._shown(switch)
            if switch.id in self._driving.refused and switch.error is not None:
                raise SwitchRefused(switch.error, state=switch.state.value)
            await self.wait(changes)

    async def verify(self, key: RouteKey) -> Switch:
        """Compare every stream on both sides. The answer has the first difference, if any."""
        may = [S.DUAL_WRITING, S.VERIFIED, S.SWITCHED, S.REVERSED]
        return await self._step(key, may, self._verify)

    async def switch(self, key: RouteKey, by: str | None = None) -> Switch:
        """Lead the route to its new backend; the old one is written to as well from now on."""
        return await self._cut_over(key, S.VERIFIED, S.SWITCHED, by)

    async def reverse(self, key: RouteKey, by: str | None = None) -> Switch:
        """Lead the route back, with everything that was written since."""
        return await self._cut_over(key, S.SWITCHED, S.REVERSED, by)

    async def finish(self, key: RouteKey) -> Switch:
        """Write to where the route leads alone. What the other backend has stays there."""
        return await self._end(key, [S.SWITCHED, S.REVERSED], S.FINISHED)

    async def cancel(self, key: RouteKey) -> Switch:
        """Give the switch up before the route leads elsewhere. What was copied stays there."""
        may = [S.PREPARED, S.COPYING, S.DUAL_WRITING, S.VERIFIED, S.REVERSED]
        return await self._end(key, may, S.CANCELLED)

    # --- how ---

    async def _verify(self, switch: Switch, moving: Moving) -> Switch:
        falls = moving.falls
        try:
            found = await compare(moving)
        except TimeoutError:
            raise SwitchRefused("what was on its way did not arrive; verify again") from None
        if moving.falls != falls:
            raise SwitchRefused(f"{moving.fell}; wait until it is level, and verify again")
        state = switch.state
        if state is not S.SWITCHED:
            state = S.VERIFIED if found.difference is None else S.DUAL_WRITING
        return await self._kept.change(
            switch.id, state=state, verification=found, error=found.difference
        )

    async def _cut_over(
        self, key: RouteKey, before: SwitchState, after: SwitchState, by: str | None
    ) -> Switch:
        async def step(switch: Switch, moving: Moving) -> Switch:
            reason = switch.reason or f"switch {switch.id}: {after.value}"
            row = self._routes.get(key)
            wanted = switch.follower.in_place_of(row).model_copy(update={"reason": reason})
            cutover = Cutover(moving, self._routes, self._actors, self._hold_s)
            self._fenced += [moving.primary] if moving.primary not in self._fenced else []
            with anyio.CancelScope(shield=True):
                await cutover.run(wanted, switch.revision, by)
                tally = moving.tally
                tally.longest_pause_s = max(tally.longest_pause_s, cutover.paused_s)
                pause_ms = round(1000 * cutover.paused_s, 3)
                await self._kept.change(
                    switch.id,
                    state=after,
                    revision=self._routes.get(key).revision,
                    pause_ms=pause_ms,
                    error=None,
                )
            return self._kept.by_id(switch.id)

        return await self._step(key, [before], step)

    async def _step(self, key: RouteKey, states: Collection[SwitchState], step: Step) -> Switch:
        """One step at a time, of a switch in one of these states, with both backends level."""
        switch = self._kept.open(key)
        moving = self._driving.moving.get(switch.id)
        if switch.state not in states or moving is None or not moving.follows:
            follows = moving is not None and moving.follows
            self._refuse_step(switch, "" if follows else ", and streams lag")
        if switch.id in self._stepping:
            raise SwitchRefused("another step of it is under way", state=switch.state.value)
        self._stepping.add(switch.id)
        try:
            return self._shown(await step(switch, moving))
        finally:
            self._stepping.discard(switch.id)

    async def _end(
        self, key: RouteKey, states: Collection[SwitchState], state: SwitchState
    ) -> Switch:
        switch = self._kept.open(key)
        if switch.state not in states:
            self._refuse_step(switch)
        if switch.id in self._stepping:
            raise SwitchRefused("another step of it is under way", state=switch.state.value)
        progress = self._shown(switch).progress
        with anyio.CancelScope(shield=True):  # the record and the work say the same
            switch = await self._kept.change(switch.id, state=state, progress=progress, error=None)
            self._driving.end(switch)
        return switch

    @staticmethod
    def _refuse_step(switch: Switch, more: str = "") -> NoReturn:
        raise SwitchRefused(
            f"the switch is {switch.state.value}{more}; next: {', '.join(switch.next_steps)}",
            state=switch.state.value,
        )

    def _refuse_change(self, key: RouteKey) -> None:
        switch = self._kept.overlapping(key)
        if switch is not None:
            raise RouteConflict(
                f"the switch of {'/'.join(switch.key)} is {switch.state.value}; "
                "finish or cancel it first",
                revision=self._routes.revision,
            )

    async def _route_changed(self, key: RouteKey) -> None:
        """A plain change: what moved away in an earlier switch may be served there again."""
        if self._kept.overlapping(key) is None:
            for host in self._fenced:
                host.fences = tuple(one for one in host.fences if not overlap(one.row, key))
