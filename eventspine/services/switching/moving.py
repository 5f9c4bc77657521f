"""Moving: one open switch at work: its two backends, the mirror between them, the copying.

Job: enumerate what is behind the route once, copy what lags, tell when nothing does; again and
again, since whatever fails makes keys lag. The direction is that of the switch's state: from where
the route leads now to the other one.
"""

from __future__ import annotations

from collections.abc import Iterable

from eventspine.actors.host import StreamHost
from eventspine.actors.mirror import Mirror
from eventspine.contracts.switch import SwitchProgress
from eventspine.services.switching.copying import Copier
from eventspine.services.switching.reach import Reach
from eventspine.services.switching.tally import Tally


class Moving:
    """Args: primary, follower: the open backends, as the state of the switch says."""

    def __init__(
        self, reach: Reach, primary: StreamHost, follower: StreamHost, tally: Tally
    ) -> None:
        self.reach = reach
        self.tally = tally
        self.falls = 0
        self.fell: str | None = None  # why everything lagged again, the last time
        self.follows = False  # everything was level, and nothing has failed since
        self._enumerated = False
        self._connect(primary, follower, set())

    def _connect(self, source: StreamHost, target: StreamHost, followed: set[str]) -> None:
        self.primary, self.follower = source, target
        self.mirror = Mirror(source, target, self.reach.covers, followed)
        self.mirror.on_fall = self._note_fall
        self.copier = Copier(self.mirror, source, target, self.reach.row.mode, self.tally)

    def _note_fall(self, why: str) -> None:
        self.falls += 1
        self.tally.falls += 1
        self.follows = False
        self.fell = why

    @property
    def progress(self) -> SwitchProgress:
        level = len(self.mirror.followed)
        return SwitchProgress(
            streams=level + len(self.mirror.lagging),
            level=level,
            follows=self.follows,
            copied_events=self.copier.events,
            copied_bytes=self.copier.bytes,
        )

    @property
    def is_level(self) -> bool:
        """Whether both have everything, but for what is on its way; new streams lag at first."""
        return self._enumerated and not self.mirror.lagging

    async def level(self) -> None:
        """Until nothing lags. Raises SwitchRefused, and what a backend fails with."""
        if self.mirror not in self.primary.mirrors:
            self.primary.mirror_into(*self.primary.mirrors, self.mirror)
        if not self._enumerated:
            for key in await keys_behind(self.primary, self.reach):
                self.mirror.lag(key)
            self._enumerated = True
        await self.copier.level_all()
        self.follows = True

    def follow_on(self, keys: Iterable[str]) -> None:
        """Both have these alike, and no others: follow them from now on, before anything is."""
        self.mirror.followed.update(keys)
        self.primary.mirror_into(*self.primary.mirrors, self.mirror)
        self._enumerated = self.follows = True

    async def wait_level(self) -> None:
        while not self.is_level:
            await self.mirror.wait()

    async def wait_lagging(self) -> None:
        while not self.mirror.lagging:
            await self.mirror.wait()

    def turn_round(self) -> None:
        """The two change their roles, in one go, however many streams there are to follow on."""
        followed = self.mirror.hand_over()
        self.detach()
        self._connect(self.follower, self.primary, followed)
        self.primary.mirror_into(*self.primary.mirrors, self.mirror)

    def detach(self) -> None:
        """Write to one backend only. Whoever waits for the other is answered."""
        rest = [mirror for mirror in self.primary.mirrors if mirror is not self.mirror]
        self.primary.mirror_into(*rest)
        self.mirror.end()


async def keys_behind(host: StreamHost, reach: Reach) -> list[str]:
    """The keys on a backend that a row reaches, if they are of its mode."""
    return [key for key in await host.open_store().keys(reach.prefix) if reach.holds(key)]


async def streams_behind(host: StreamHost, reach: Reach) -> int:
    """How many streams of a row a backend holds."""
    store, count = host.open_store(), 0
    for key in await keys_behind(host, reach):
        head = await store.head(key)
        count += head.mode == reach.row.mode and head.sequence > 0
    return count
