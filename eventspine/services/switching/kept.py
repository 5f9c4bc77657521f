"""KeptSwitches: the switches of one root, durable, and who waits for one of them to change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio

from eventspine.contracts.errors import SwitchNotFound, SwitchRefused
from eventspine.contracts.registry import RegistryStore
from eventspine.contracts.route import ResourceRoute, RouteKey
from eventspine.contracts.switch import Place, Switch, SwitchState
from eventspine.services.switching.reach import overlap

ENDED_KEPT_MAX = 100
_BEFORE = frozenset([SwitchState.DUAL_WRITING, SwitchState.VERIFIED])


class KeptSwitches:
    """`all`: the oldest first. `changes` grows with each change, and `told` is called."""

    def __init__(self, store: RegistryStore, told: Callable[[], None]) -> None:
        self._told = told
        self.all: list[Switch] = []
        self.changes = 0
        self.stopped: dict[str, Switch] = {}  # as a clean stop left them, until it is looked at
        self._store = store
        self._writing = anyio.Lock()
        self._changed = anyio.Event()

    async def load(self, rows: dict[RouteKey, ResourceRoute]) -> None:
        """Read them, and settle what a crash may have left between the registry and here."""
        found = list(await self._store.load_switches())
        self.stopped = {one.id: one for one in found if one.is_open and one.clean_stop}
        settled = [_settled(one, rows.get(one.key)) if one.is_open else one for one in found]
        if settled != found:
            await self._save(settled)
        self.all = settled

    def last(self, key: RouteKey) -> Switch:
        """The open or the last switch of a route. Raises SwitchNotFound."""
        for switch in reversed(self.all):
            if switch.key == key:
                return switch
        raise SwitchNotFound(f"route {'/'.join(key)} has no switch", **key._asdict())

    def open(self, key: RouteKey) -> Switch:
        """The open switch of a route. Raises SwitchNotFound, SwitchRefused."""
        switch = self.last(key)
        if not switch.is_open:
            raise SwitchRefused(f"the switch is {switch.state.value}", state=switch.state.value)
        return switch

    def by_id(self, switch_id: str) -> Switch:
        return next(switch for switch in self.all if switch.id == switch_id)

    def overlapping(self, key: RouteKey) -> Switch | None:
        """An open switch of scopes that a row of this key matches too."""
        found = (one for one in self.all if one.is_open and overlap(one.key, key))
        return next(found, None)

    async def add(self, switch: Switch) -> None:
        async with self._writing:
            await self._save([*self.all, switch])

    async def change(self, switch_id: str, **changes: Any) -> Switch:
        """Have a switch as it is, but for these members, durably."""
        async with self._writing:
            now = {"updated_at": datetime.now(UTC), **changes}
            changed = self.by_id(switch_id).model_copy(update=now)
            await self._save([changed if one.id == switch_id else one for one in self.all])
            return changed

    async def _save(self, switches: list[Switch]) -> None:
        ended = [one.id for one in switches if not one.is_open]
        drop = set(ended[:-ENDED_KEPT_MAX])
        kept = [one for one in switches if one.id not in drop]
        with anyio.CancelScope(shield=True):
            await self._store.save_switches(kept)
            self.all = kept
            self.tell()

    def tell(self) -> None:
        """Wake who waits."""
        self.changes += 1
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        self._told()

    async def wait(self, changes: int) -> None:
        """Until something has changed since `changes`."""
        while self.changes <= changes:
            await self._changed.wait()


def _settled(switch: Switch, row: ResourceRoute | None) -> Switch:
    """What a start makes of an open switch: the route says where it leads, streams lag."""
    if switch.state in _BEFORE:
        switch = switch.model_copy(update={"state": SwitchState.COPYING, "verification": None})
    place = None if row is None else Place.of(row)
    switch = switch.model_copy(update={"error": None, "clean_stop": None})
    if row is not None and place == switch.primary:
        return switch
    if row is not None and place == switch.follower and switch.state is not SwitchState.PREPARED:
        back = switch.state is SwitchState.SWITCHED
        state = SwitchState.REVERSED if back else SwitchState.SWITCHED
        return switch.model_copy(update={"state": state, "revision": row.revision})
    error = "the route was changed by something else; finish or cancel"
    return switch.model_copy(update={"error": error})


def is_adrift(switch: Switch, row: ResourceRoute | None) -> bool:
    """Whether the route leads elsewhere than the switch says, so that no step can be taken."""
    return row is None or Place.of(row) != switch.primary
