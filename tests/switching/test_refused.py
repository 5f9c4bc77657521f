"""What a switch refuses, where it would lose data or do half of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import eventspine
from eventspine import Settings, Spine
from eventspine.contracts.errors import (
    BackendRefusedInMode,
    RouteConflict,
    RouteNotFound,
    SwitchNotFound,
    SwitchRefused,
    UnsupportedBackend,
)
from eventspine.contracts.route import WILDCARD, ResourceKind, RouteSpec
from eventspine.contracts.settings import RoutingSettings
from eventspine.contracts.stores import StreamCommit
from eventspine.contracts.switch import Place, SwitchState
from tests.switching.conftest import (
    CONTEXT,
    FILES,
    KEY,
    LAB,
    MEMORY,
    OTHER_FILES,
    Opener,
    key_of,
    lead,
    level,
    verified,
)

pytestmark = pytest.mark.anyio
EVENT = {"event_type": "t", "payload": {}}


async def test_a_switch_to_the_same_backend(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        with pytest.raises(SwitchRefused, match="leads to filesystem:files already"):
            await spine.switches.start(KEY, FILES)
        assert spine.switches.list() == []


async def test_a_switch_of_a_route_that_is_not_there_or_to_nowhere(opener: Opener) -> None:
    async with opener() as spine:
        with pytest.raises(RouteNotFound):
            await spine.switches.start(KEY._replace(env="no"), MEMORY)
        with pytest.raises(UnsupportedBackend):
            await spine.switches.start(KEY, Place(backend_type="tape"))
        with pytest.raises(SwitchNotFound):
            spine.switches.get(KEY)
        with pytest.raises(SwitchNotFound):
            await spine.switches.copy(KEY)


async def test_the_mode_guard_refuses_as_it_does_for_a_route(tmp_path: Path) -> None:
    routing = RoutingSettings(lab_backend_modes=("prod",))
    spec = RouteSpec(
        resource_kind=ResourceKind.EVENT_STREAM,
        tenant_id="t",
        env="e",
        mode="prod",
        backend_type="memory",
    )
    async with eventspine.open(tmp_path, settings=Settings(routing=routing)) as spine:
        await spine.routes.create(spec)
    async with eventspine.open(tmp_path, settings=Settings()) as spine:
        with pytest.raises(BackendRefusedInMode):
            await spine.switches.start(spec.key, FILES)


async def test_kinds_that_keep_more_than_lines(opener: Opener) -> None:
    async with opener() as spine:
        with pytest.raises(SwitchRefused, match="object_store cannot be moved"):
            await spine.switches.start(key_of(ResourceKind.OBJECT_STORE), MEMORY)


async def test_a_backend_with_other_data_of_these_scopes(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, OTHER_FILES)
        await spine.append("chat", {**EVENT, "payload": {"other": 1}}, CONTEXT)
        await lead(spine, FILES)
        await spine.append("chat", EVENT, CONTEXT)
        with pytest.raises(SwitchRefused, match=r"other data under .*/chat: event 1 is another"):
            await spine.switches.start(KEY, OTHER_FILES)
        await spine.delete_stream("chat", CONTEXT)
        with pytest.raises(SwitchRefused, match=r"events of an earlier life"):
            await spine.switches.start(KEY, OTHER_FILES)


async def test_a_backend_that_is_ahead_of_the_route(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, OTHER_FILES)
        await spine.append("only there", EVENT, CONTEXT)
        await lead(spine, FILES)
        with pytest.raises(SwitchRefused, match=r"ahead: epoch 1, event 1, the source is at"):
            await spine.switches.start(KEY, OTHER_FILES)


async def test_what_another_mode_has_at_the_target_is_left_alone(opener: Opener) -> None:
    """Modes share keys, so that only one of them can have a stream of a name at a backend."""
    theirs = StreamCommit("event_stream/t_demo/dev/_/theirs", "try", 1, 1, [b"{}"])
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append("ours", EVENT, CONTEXT)
        there = await spine.switches._actors.open(MEMORY.in_place_of(spine.routes.get(KEY)))
        there.open_store().commit([theirs])
        await verified(spine, MEMORY)
        await spine.switches.switch(KEY)
        await spine.append("ours", EVENT, CONTEXT)
        await spine.switches.reverse(KEY)
        await spine.switches.finish(KEY)
        assert await there.open_store().read(theirs.key, 1, 9, 999) == [b"{}"]
        await spine.append("theirs", EVENT, CONTEXT)
        with pytest.raises(SwitchRefused, match="theirs: it was written in mode try there"):
            await spine.switches.start(KEY, MEMORY)


async def test_a_second_switch_of_scopes_that_overlap(opener: Opener) -> None:
    async with opener() as spine:
        wild = RouteSpec(
            resource_kind=ResourceKind.EVENT_STREAM,
            **{**LAB.model_dump(), "tenant_id": WILDCARD},
            **FILES.model_dump(),
        )
        await spine.routes.create(wild)
        await spine.switches.start(KEY, MEMORY)
        with pytest.raises(SwitchRefused, match="t_demo/dev/default/lab is prepared"):
            await spine.switches.start(KEY, OTHER_FILES)
        with pytest.raises(SwitchRefused, match="is prepared"):
            await spine.switches.start(wild.key, OTHER_FILES)
        tables = key_of(ResourceKind.TABULAR_STORE)
        assert (await spine.switches.start(tables, MEMORY)).state is SwitchState.PREPARED


async def test_another_change_of_the_route_while_a_switch_is_open(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        revision = spine.routes.revision
        await spine.switches.start(KEY, MEMORY)
        with pytest.raises(RouteConflict, match="finish or cancel it first"):
            await lead(spine, OTHER_FILES)
        with pytest.raises(RouteConflict):
            await spine.routes.delete(KEY)
        with pytest.raises(RouteConflict):
            await spine.routes.rollback(revision - 1)
        scopes = {**LAB.model_dump(), "project_id": WILDCARD}
        kind = ResourceKind.EVENT_STREAM
        overlapping = RouteSpec(resource_kind=kind, **scopes, **MEMORY.model_dump())
        with pytest.raises(RouteConflict):
            await spine.routes.create(overlapping)
        assert spine.routes.revision == revision
        await lead(spine, FILES, ResourceKind.TABULAR_STORE)
        await spine.switches.cancel(KEY)
        await lead(spine, OTHER_FILES)


async def test_steps_out_of_their_order_name_the_next_one(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        switches = spine.switches
        await switches.start(KEY, MEMORY)
        for step in (switches.verify, switches.switch, switches.reverse, switches.finish):
            with pytest.raises(SwitchRefused, match=r"prepared.*next: run, cancel"):
                await step(KEY)
        with pytest.raises(SwitchRefused, match="nothing is copied yet"):
            await switches.wait_level(KEY)
        await switches.copy(KEY)
        await switches.wait_level(KEY)
        with pytest.raises(SwitchRefused, match=r"dual_writing.*next: verify, cancel"):
            await switches.switch(KEY)
        await switches.verify(KEY)
        await switches.switch(KEY)
        with pytest.raises(SwitchRefused, match=r"switched.*next: finish, reverse"):
            await switches.cancel(KEY)
        await switches.finish(KEY)
        with pytest.raises(SwitchRefused, match="the switch is finished"):
            await switches.reverse(KEY)


async def test_a_difference_is_named_and_keeps_the_route_where_it_is(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        for name in ("a", "b"):
            await spine.append(name, EVENT, CONTEXT)
        await level(spine, MEMORY)
        follower = spine.switches._driving.moving[spine.switches.get(KEY).id].follower
        stream = follower.open_store()._streams["event_stream/t_demo/dev/_/b"]  # type: ignore[attr-defined]
        stream.lines[0] = stream.lines[0].replace(b'"t"', b'"T"')
        found = await spine.switches.verify(KEY)
        assert found.state is SwitchState.DUAL_WRITING
        assert found.error is not None
        assert found.error.startswith("event_stream/t_demo/dev/_/b: 1 events, ")
        with pytest.raises(SwitchRefused, match="dual_writing"):
            await spine.switches.switch(KEY)
        assert spine.routes.get(KEY).config == FILES.config


async def test_a_stream_that_the_target_alone_has_is_a_difference(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await level(spine, MEMORY)
        follower = spine.switches._driving.moving[spine.switches.get(KEY).id].follower
        stray = StreamCommit("event_stream/t_demo/dev/_/stray", "lab", 1, 1, [b"{}"])
        follower.open_store().commit([stray])
        found = await spine.switches.verify(KEY)
        assert found.error == "event_stream/t_demo/dev/_/stray is at memory:there alone"


async def test_a_route_that_was_changed_while_nobody_had_it_open(
    opener: Opener, tmp_path: Path
) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append("chat", EVENT, CONTEXT)
        await level(spine, OTHER_FILES)
    path = tmp_path / "routing_registry_store" / "routes.json"
    registry = json.loads(path.read_text())
    for row in registry["routes"]:
        if row["resource_kind"] == "event_stream":
            row["config"] = {"root": "elsewhere"}
    path.write_text(json.dumps(registry))
    async with opener() as spine:
        assert "changed by something else" in str(spine.switches.get(KEY).error)
        with pytest.raises(SwitchRefused, match="changed by something else"):
            await spine.switches.copy(KEY)
        with pytest.raises(SwitchRefused):
            await spine.switches.verify(KEY)
        assert (await spine.switches.cancel(KEY)).state is SwitchState.CANCELLED
        assert (await spine.head("chat", CONTEXT)).cursor.sequence == 0


async def test_a_dry_run_says_how_many_streams_would_be_left_behind(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        for n in range(7):
            await spine.append(f"s{n}", EVENT, CONTEXT)
        await spine.delete_stream("s0", CONTEXT)
        spec = RouteSpec(
            resource_kind=ResourceKind.EVENT_STREAM, **LAB.model_dump(), **MEMORY.model_dump()
        )
        trial = await spine.routes.dry_run(spec, create=False)
        streams = {s.rsplit("/", 1)[1] for s in await _keys(spine) if "/_/s" in s} - {"s0"}
        assert len(streams) == 6
        assert trial.left_behind is not None
        assert trial.left_behind >= 6
        same = spec.model_copy(update=FILES.model_dump())
        assert (await spine.routes.dry_run(same, create=False)).left_behind is None


async def _keys(spine: Spine) -> list[str]:
    hosts = {host.name: host for host in spine._hosts}
    return await hosts["filesystem:files"].open_store().keys("event_stream/")
