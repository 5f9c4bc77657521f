"""What every RegistryStore must do. Used like eventspine.testing.event_stream."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio

from eventspine.contracts.errors import RouteConflict
from eventspine.contracts.registry import RegistryImage, RegistryStore
from eventspine.contracts.route import ResourceKind, ResourceRoute
from eventspine.contracts.route_change import RouteChange, RowChange, difference
from eventspine.contracts.switch import Place, Switch, SwitchState, Verification


def route(revision: int, tenant_id: str = "t", **config: object) -> ResourceRoute:
    return ResourceRoute(
        resource_kind=ResourceKind.EVENT_STREAM,
        tenant_id=tenant_id,
        env="dev",
        mode="lab",
        backend_type="memory",
        config=config,
        revision=revision,
        updated_at=datetime(2026, 11, 22, 13, 5, tzinfo=UTC),
    )


def change(revision: int, after: ResourceRoute, before: ResourceRoute | None = None) -> RouteChange:
    row = RowChange(before=before, after=after, diff=difference(before, after))
    return RouteChange(
        revision=revision,
        action="update" if before else "create",
        at=datetime(2026, 11, 22, 13, 5, tzinfo=UTC),
        by="ada",
        reason=None,
        rows=(row,),
    )


def switch(n: int, state: SwitchState = SwitchState.COPYING) -> Switch:
    at = datetime(2026, 11, 22, 13, 5, n, tzinfo=UTC)
    found = Verification(at=at, streams=n, events=n, sha256="0" * 64, difference="é: not alike")
    return Switch(
        id=f"switch {n}",
        **route(n + 1, f"t{n}").key._asdict(),
        source=Place(backend_type="memory"),
        target=Place(backend="declared"),
        state=state,
        revision=n + 1,
        started_at=at,
        updated_at=at,
        verification=found if n else None,
    )


class RegistryStoreSuite:
    """Subclass it; `open` answers a store on the same place each time."""

    def open(self) -> RegistryStore:
        raise NotImplementedError

    async def test_a_registry_nobody_wrote_is_empty(self) -> None:
        assert await self.open().load() == RegistryImage()

    async def test_what_was_saved_is_loaded(self) -> None:
        store = self.open()
        image = RegistryImage(1, (route(1, "é²", name="x", nested={"a": [1, None]}),))
        await store.save(image, replaces=0)
        assert await store.load() == image
        assert await self.open().load() == image

    async def test_a_save_replaces_the_whole_image(self) -> None:
        store = self.open()
        await store.save(RegistryImage(1, (route(1, "a"), route(1, "b"))), replaces=0)
        later = RegistryImage(2, (route(2, "c"),))
        await store.save(later, replaces=1)
        assert await self.open().load() == later
        await store.save(RegistryImage(3), replaces=2)
        assert await self.open().load() == RegistryImage(3)

    async def test_switches_are_kept_beside_the_image(self) -> None:
        store = self.open()
        assert await store.load_switches() == ()
        first, second = switch(0), switch(1, SwitchState.SWITCHED)
        await store.save_switches([first])
        await store.save(RegistryImage(1, (route(1),)), replaces=0)
        await store.save_switches([second, first])
        assert await self.open().load_switches() == (second, first)
        assert (await self.open().load()).revision == 1

    async def test_a_save_over_another_revision_is_refused_and_changes_nothing(self) -> None:
        store = self.open()
        kept = RegistryImage(1, (route(1),))
        await store.save(kept, replaces=0)
        for replaces in (0, 2):
            try:
                await self.open().save(RegistryImage(replaces + 1), replaces=replaces)
            except RouteConflict as conflict:
                assert conflict.fields["revision"] == 1
            else:
                raise AssertionError(f"replaced revision {replaces}, which was not the last")
        assert await store.load() == kept

    async def test_of_many_saves_at_once_one_wins(self) -> None:
        store, won = self.open(), []

        async def save(n: int) -> None:
            image = RegistryImage(1, (route(1, f"t{n}"),))
            try:
                await store.save(image, replaces=0)
            except RouteConflict:
                return
            won.append(image)

        async with anyio.create_task_group() as tasks:
            for n in range(8):
                tasks.start_soon(save, n)
        assert len(won) == 1
        assert await store.load() == won[0]

    async def test_the_history_holds_what_led_to_the_image(self) -> None:
        store = self.open()
        assert await store.history() == []
        first, second = route(1, "é"), route(2, "é", name="x")
        changes = [change(1, first), change(2, second, first)]
        await store.save(RegistryImage(1, (first,)), replaces=0, change=changes[0])
        await store.save(RegistryImage(2, (second,)), replaces=1, change=changes[1])
        assert await store.history() == changes
        assert await self.open().history() == changes

    async def test_a_refused_save_leaves_no_trace_in_the_history(self) -> None:
        store = self.open()
        kept = change(1, route(1))
        await store.save(RegistryImage(1, (route(1),)), replaces=0, change=kept)
        try:
            late = change(1, route(1, "late"))
            await store.save(RegistryImage(1, (route(1, "late"),)), replaces=0, change=late)
        except RouteConflict:
            pass
        assert await store.history() == [kept]
