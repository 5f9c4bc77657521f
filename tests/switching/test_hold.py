"""A hold does as much as was written just before it, however many streams there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from eventspine import Spine
from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActor
from eventspine.contracts.errors import SwitchRefused
from eventspine.contracts.stores import EventStreamStore, StreamHead
from eventspine.runtime.directory import Directory
from eventspine.services.switching.cutover import Cutover
from tests.switching.conftest import (
    CONTEXT,
    FILES,
    KEY,
    OTHER_FILES,
    Direction,
    Opener,
    lead,
    verified,
)
from tests.switching.test_following import CHAT, event, moving_of

pytestmark = pytest.mark.anyio
STREAMS = 100
Save = Callable[[], Awaitable[None]]


class Looks:
    """The heads that are read during holds, and how often all owners are gone through."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.heads: Counter[str] = Counter()
        self.tours = 0
        self._patch = patch

    def of(self, spine: Spine) -> Looks:
        cut, moving = Cutover._cut, moving_of(spine)

        async def counted(cutover: Cutover, actor: RouteActor[StreamHost], save: Save) -> None:
            with pytest.MonkeyPatch.context() as during:
                for host in (moving.primary, moving.follower):
                    self._count_heads(host.open_store(), during)
                self._count_tours(during)
                await cut(cutover, actor, save)

        self._patch.setattr(Cutover, "_cut", counted)
        return self

    def _count_heads(self, store: EventStreamStore, during: pytest.MonkeyPatch) -> None:
        read = store.head

        async def head(key: str) -> StreamHead:
            self.heads[key] += 1
            return await read(key)

        during.setattr(store, "head", head)

    def _count_tours(self, during: pytest.MonkeyPatch) -> None:
        known_keys = Directory.known_keys

        def counted(directory: Directory[object]) -> list[str]:
            self.tours += 1
            return known_keys(directory)

        during.setattr(Directory, "known_keys", counted)


async def test_a_hold_looks_at_nothing_that_did_not_change(
    opener: Opener, direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opener() as spine:
        await lead(spine, direction.source)
        for n in range(STREAMS):
            await spine.append(f"stream {n}", event(n), CONTEXT)
        await verified(spine, direction.target)
        looks = Looks(monkeypatch).of(spine)
        for step in (spine.switches.switch, spine.switches.reverse):
            for n in range(3):
                await spine.append(f"stream {n}", event(n), CONTEXT)
            await step(KEY)
            await spine.switches.wait_level(KEY)
        assert sum(looks.heads.values()) < 20, "those that were on their way, and the audit's"
        assert looks.tours == 0
        for n in range(STREAMS):
            head = await spine.head(f"stream {n}", CONTEXT)
            assert head.cursor.sequence == (3 if n < 3 else 1)


async def _always_behind(key: str) -> StreamHead:
    return StreamHead()


async def test_what_is_not_alike_is_compared_in_the_hold(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter of the test before counts: a stream that keeps differing is looked at, twice."""
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append("chat", event(0), CONTEXT)
        await verified(spine, OTHER_FILES)
        looks = Looks(monkeypatch).of(spine)
        moving_of(spine).mirror.touched.add(CHAT)
        store = moving_of(spine).follower.open_store()
        monkeypatch.setattr(store, "head", _always_behind)
        with pytest.raises(SwitchRefused, match="not alike"):
            await spine.switches.switch(KEY)
        assert looks.heads[CHAT] == 2


async def test_an_owner_that_woke_at_the_follower_does_not_serve_what_it_read_then(
    opener: Opener, direction: Direction
) -> None:
    """Whoever reads there too early reads too little; the change-over forgets it."""
    async with opener() as spine:
        await lead(spine, direction.source)
        await spine.append("chat", event(0), CONTEXT)
        await verified(spine, direction.target)
        follower = moving_of(spine).follower
        assert (await follower.actor(CHAT)).sequence == 1
        await spine.append("chat", event(1), CONTEXT)
        await moving_of(spine).mirror.quiet()
        assert follower.directory.peek(CHAT) is not None
        await spine.switches.switch(KEY)
        await spine.append("chat", event(2), CONTEXT)
        lines = (await spine.list_after("chat", None, CONTEXT)).lines
        assert [b'"sequence":%d' % n in line for n, line in enumerate(lines, 1)] == [True] * 3


async def test_who_knows_the_way_by_heart_does_not_get_past_the_fence(
    opener: Opener, direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short way of an append asks no fence: what was resolved is forgotten as it goes up."""
    drain, held = Cutover._drain, anyio.Event()
    async with opener() as spine, anyio.create_task_group() as group:

        async def append() -> None:
            await held.wait()
            await spine.append("chat", event(1), CONTEXT)

        await lead(spine, direction.source)
        await verified(spine, direction.target)
        await spine.append("chat", event(0), CONTEXT)
        old = moving_of(spine).primary

        async def drained(cutover: Cutover) -> None:
            await drain(cutover)
            held.set()
            await anyio.wait_all_tasks_blocked()
            left = old.directory.peek(CHAT)
            assert left is not None
            assert left.sequence == 1, "it was taken where the stream leaves"

        monkeypatch.setattr(Cutover, "_drain", drained)
        group.start_soon(append)
        await spine.switches.switch(KEY)
        with anyio.fail_after(10):
            while len(lines := (await spine.list_after("chat", None, CONTEXT)).lines) < 2:
                await anyio.lowlevel.checkpoint()
        assert [b'"sequence":%d' % n in line for n, line in enumerate(lines, 1)] == [True] * 2


@pytest.mark.parametrize("arrives", ["before the tour", "during the hold"])
async def test_so_does_one_that_woke_while_a_commit_was_on_its_way(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, arrives: str
) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append("chat", event(0), CONTEXT)
        await verified(spine, OTHER_FILES)
        moving, cut = moving_of(spine), Cutover._cut

        async def late(cutover: Cutover, actor: RouteActor[StreamHost], save: Save) -> None:
            await moving.follower.actor(CHAT)
            await spine.append("chat", event(1), CONTEXT)
            await cut(cutover, actor, save)

        if arrives == "during the hold":
            monkeypatch.setattr(Cutover, "_cut", late)
        else:
            await moving.follower.actor(CHAT)
            await spine.append("chat", event(1), CONTEXT)
        await spine.switches.switch(KEY)
        assert (await spine.append("chat", event(2), CONTEXT)).sequences == [3]
