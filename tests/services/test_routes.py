"""No route, no service; and what a change of a route does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eventspine.bootstrap import KINDS, open_spine
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import (
    BackendRefusedInMode,
    InvalidRoute,
    NoRouteConfigured,
    RootInvalid,
    RouteConflict,
    RouteNotFound,
    UnsupportedBackend,
)
from eventspine.contracts.settings import RoutingSettings, Settings
from eventspine.contracts.system_routes import SYSTEM_KINDS
from eventspine.services.spine import Spine
from tests.actors.faulty import CONTEXT, event, memory_route, numbers

pytestmark = pytest.mark.anyio


@pytest.fixture
async def spine(tmp_path: Path, anyio_backend: Any) -> AsyncIterator[Spine]:
    async with open_spine(tmp_path, settings=Settings()) as spine:
        yield spine


async def test_the_text_of_a_missing_route(spine) -> None:
    with pytest.raises(RuntimeError) as caught:
        spine.routes.get_route("event_stream", "t", "e", mode="lab")
    assert str(caught.value) == "No route configured for event_stream"
    with pytest.raises(NoRouteConfigured, match=r"^No route configured for vector_store$"):
        spine.routes.get_route("vector_store", "t", "e", context=CONTEXT)
    with pytest.raises(TypeError):
        spine.routes.get_route("event_stream", "t", "e")


async def test_the_text_of_an_unsupported_backend(spine) -> None:
    with pytest.raises(RuntimeError) as caught:
        await spine.routes.create(memory_route(backend_type="Carrier_Pigeon"))
    assert str(caught.value) == "Unsupported backend_type=carrier_pigeon"
    assert isinstance(caught.value, UnsupportedBackend)
    assert spine.routes.revision == 0


@pytest.mark.parametrize(
    "config", [{"root": "/etc"}, {"root": "../x"}, {"root": "a/../../b"}, {"x": 1}]
)
async def test_a_config_that_leaves_the_root_is_refused(spine, config) -> None:
    with pytest.raises(InvalidRoute):
        await spine.routes.create(memory_route(backend_type="filesystem", config=config))


async def test_backend_types_are_compared_in_lower_case(spine) -> None:
    created = await spine.routes.create(memory_route(backend_type="MEMORY"))
    assert created.backend_type == "memory"


@pytest.mark.parametrize("backend_type", ["memory", "filesystem"])
async def test_the_backends_of_one_machine_are_for_lab(spine, tmp_path, backend_type) -> None:
    production = CONTEXT.model_copy(update={"mode": "production"})
    with pytest.raises(BackendRefusedInMode):
        await spine.routes.create(memory_route(production, backend_type=backend_type))
    assert spine.routes.revision == 0


async def test_the_guard_looks_again_at_every_resolve(tmp_path) -> None:
    production = CONTEXT.model_copy(update={"mode": "production"})
    allowed = Settings(routing=RoutingSettings(lab_backend_modes=("production",)))
    async with open_spine(tmp_path, settings=allowed) as spine:
        await spine.routes.create(memory_route(production))
        await spine.append("s", event(1), production)
    async with open_spine(tmp_path, settings=Settings()) as spine:
        assert spine.ready()["checks"] == {}, "what the guard refuses is not opened at start"
        with pytest.raises(BackendRefusedInMode):
            await spine.append("s", event(2), production)


async def test_an_update_swaps_the_backend_under_the_streams(spine) -> None:
    created = await spine.routes.create(memory_route(config={"name": "one"}))
    await spine.append("s", event(1), CONTEXT)
    updated = await spine.routes.update(memory_route(config={"name": "two"}), created.revision)
    assert updated.revision == created.revision + 1
    assert (await spine.head("s", CONTEXT)).cursor.sequence == 0
    await spine.append("s", event(2), CONTEXT)
    assert numbers((await spine.list_after("s", None, CONTEXT)).lines) == [2]
    await spine.routes.update(memory_route(config={"name": "one"}))
    assert numbers((await spine.list_after("s", None, CONTEXT)).lines) == [1]


async def test_an_update_over_another_revision_is_a_conflict(spine) -> None:
    created = await spine.routes.create(memory_route())
    await spine.routes.update(memory_route(config={"name": "two"}), created.revision)
    with pytest.raises(RouteConflict):
        await spine.routes.update(memory_route(config={"name": "three"}), created.revision)
    with pytest.raises(RouteConflict):
        await spine.routes.create(memory_route())
    with pytest.raises(RouteConflict):
        await spine.routes.delete(created.key, created.revision)


async def test_a_deleted_route_serves_nothing_and_can_come_back(spine) -> None:
    created = await spine.routes.create(memory_route())
    await spine.append("s", event(1), CONTEXT)
    await spine.routes.delete(created.key)
    with pytest.raises(NoRouteConfigured):
        await spine.append("s", event(2), CONTEXT)
    with pytest.raises(RouteNotFound):
        await spine.routes.delete(created.key)
    await spine.routes.create(memory_route())
    await spine.append("s", event(3), CONTEXT)
    assert numbers((await spine.list_after("s", None, CONTEXT)).lines) == [1, 3]


async def test_deleting_a_route_nobody_used_is_no_crash(spine) -> None:
    created = await spine.routes.create(memory_route())
    await spine.routes.delete(created.key)
    assert spine.routes.list() == []


async def test_routes_survive_a_restart(tmp_path) -> None:
    async with open_spine(tmp_path, settings=Settings()) as spine:
        created = await spine.routes.create(memory_route(), by="me")
    async with open_spine(tmp_path, settings=Settings()) as spine:
        assert spine.routes.list() == [created]
        assert spine.routes.revision == 1


async def test_a_backend_that_cannot_be_opened_keeps_the_last_good_one(spine, tmp_path) -> None:
    await spine.routes.create(memory_route())
    await spine.append("s", event(1), CONTEXT)
    (tmp_path / "taken").write_text("a file where a folder should be")
    await spine.routes.update(memory_route(backend_type="filesystem", config={"root": "taken"}))
    await spine.append("s", event(2), CONTEXT)
    assert numbers((await spine.list_after("s", None, CONTEXT)).lines) == [1, 2]


async def test_a_root_that_is_no_root_is_refused(tmp_path) -> None:
    with pytest.raises(RootInvalid):
        async with open_spine(tmp_path / "nothing"):
            pass
    (tmp_path / "routing_registry_store").mkdir()
    (tmp_path / "routing_registry_store" / "routes.json").write_text("{oops")
    with pytest.raises(RootInvalid):
        async with open_spine(tmp_path, settings=Settings()):
            pass


async def test_lab_routes_are_written_once(tmp_path) -> None:
    lab = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
    for n in range(2):
        async with open_spine(tmp_path, lab=True) as spine:
            await spine.append("s", event(n), lab)
            assert spine.routes.revision == len(KINDS) + len(SYSTEM_KINDS)
    path = tmp_path / "event_stream" / "t_demo" / "dev" / "_" / "s" / "events.jsonl"
    assert numbers(path.read_bytes().splitlines()) == [0, 1]
