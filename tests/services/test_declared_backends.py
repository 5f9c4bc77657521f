"""Backends that the operator declares, and the tenants that may choose among them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eventspine.bootstrap import open_spine
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import (
    BackendNotDeclared,
    InvalidRoute,
    RouteConflict,
    RouteNotEditable,
    RouteNotFound,
    SettingsInvalid,
)
from eventspine.contracts.route import ResourceKind, RouteKey, RouteSpec
from eventspine.contracts.settings import Settings
from eventspine.services.spine import Spine
from tests.actors.faulty import CONTEXT, event, memory_route, numbers

pytestmark = pytest.mark.anyio
STREAM = ResourceKind.EVENT_STREAM
OTHER = CONTEXT.model_copy(update={"tenant_id": "u"})
Opener = Callable[..., AbstractAsyncContextManager[Spine]]


def backend(**more: Any) -> dict[str, Any]:
    usual = {"backend_type": "filesystem", "kinds": ["event_stream"], "modes": ["lab"]}
    return {**usual, "tenants": ["*"], **more}


BACKENDS = {
    "fast": backend(backend_type="MEMORY", config={"name": "fast"}),
    "kept": backend(config={"root": "kept"}),
    "private": backend(config={"root": "private"}, tenants=["u"]),
    "rows": backend(kinds=["tabular_store"]),
}


def named(name: str | None, context: RequestContext = CONTEXT, **more: Any) -> RouteSpec:
    scope = {"tenant_id": context.tenant_id, "env": context.env, "mode": context.mode}
    return RouteSpec.model_validate({"resource_kind": STREAM, "backend": name, **scope, **more})


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    @asynccontextmanager
    async def opened(*, editable: bool = True, **backends: Any) -> AsyncIterator[Spine]:
        declared = {**BACKENDS, **backends}
        members = {
            "backends": {name: one for name, one in declared.items() if one},
            "routing": {"tenant_editable": editable},
        }
        async with open_spine(tmp_path, settings=Settings.model_validate(members)) as spine:
            yield spine

    return opened


async def numbers_in(spine: Spine, context: RequestContext = CONTEXT) -> list[object]:
    return list(numbers((await spine.list_after("s", None, context)).lines))


# --- routes that name one ---


async def test_a_route_with_a_name_leads_where_the_settings_say(opener, tmp_path) -> None:
    async with opener() as spine:
        route = await spine.routes.create(named("kept"))
        assert (route.backend, route.backend_type, route.config) == ("kept", "", {})
        await spine.append("s", event(1), CONTEXT)
        assert (tmp_path / "kept").is_dir()
        found = spine.routes.get_route(*route.key)
        assert (found.backend_type, found.config) == ("filesystem", {"root": "kept"})
        assert spine.statistics().routes_by_backend == {"kept": 1}
    async with opener(kept=backend(config={"root": "elsewhere"})) as spine:
        assert await numbers_in(spine) == [], "the settings are asked anew at each start"
        await spine.append("s", event(2), CONTEXT)
    async with opener() as spine:
        assert await numbers_in(spine) == [1]


async def test_a_name_is_for_the_kinds_tenants_and_modes_it_was_declared_for(opener) -> None:
    async with opener() as spine:
        for spec in (
            named("nowhere"),
            named("private"),
            named("rows"),
            named("kept", mode="prod"),
            named("private", tenant_id="*"),
        ):
            with pytest.raises(InvalidRoute, match=r"no backend .* is declared for") as caught:
                await spine.routes.create(spec)
            assert caught.value.fields["field"] == "backend"
        await spine.routes.create(named("private", OTHER))
        await spine.routes.create(named("kept", tenant_id="*"))
        assert len(spine.routes.list()) == 2


@pytest.mark.parametrize(
    "members",
    [
        {"backend": "kept", "backend_type": "memory"},
        {"backend": "kept", "config": {"root": "/etc"}},
        {},
        {"backend": ""},
        {"backend_type": ""},
    ],
)
def test_a_route_has_a_name_or_a_target_of_its_own(members) -> None:
    with pytest.raises(ValueError, match="backend"):
        RouteSpec(resource_kind=STREAM, tenant_id="t", env="e", mode="lab", **members)


async def test_a_declaration_that_goes_costs_its_routes_and_no_other(opener) -> None:
    async with opener() as spine:
        await spine.routes.create(named("fast"))
        await spine.routes.create(memory_route(OTHER))
    async with opener(fast=None) as spine:
        with pytest.raises(BackendNotDeclared, match="no backend 'fast' is declared"):
            await spine.append("s", event(1), CONTEXT)
        await spine.append("s", event(1), OTHER)
        explained = spine.routes.explain(RouteKey("event_stream", "t", "e", "default", "lab"))
        assert "no backend 'fast'" in explained["refused"]
        await spine.routes.update(named("kept"))
        await spine.append("s", event(1), CONTEXT)


async def test_a_dry_run_tries_the_backend_behind_the_name(opener) -> None:
    async with opener() as spine:
        trial = await spine.routes.dry_run(named("kept"), create=True)
        assert trial.probe == (True, ["open", "write", "read", "delete"], None)
        await spine.routes.create(named("kept"))
        await spine.append("s", event(1), CONTEXT)
        own = memory_route(CONTEXT, backend_type="filesystem", config={"root": "kept"})
        same = await spine.routes.dry_run(own, create=False)
        assert same.moves == [], "it leads to the same place"
        other = await spine.routes.dry_run(named("fast"), create=False)
        assert [key.tenant_id for key in other.moves] == ["t"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (backend(backend_type="floppy"), "event_stream: Unsupported backend_type=floppy"),
        (backend(config={"root": "/etc"}), "config.root"),
        (backend(config={"name": "x"}), "config.name"),
        (backend(modes=["lab", "prod"]), "modes: filesystem is for lab"),
    ],
)
async def test_a_declaration_that_could_not_be_opened_is_told_at_the_start(
    opener, wrong, told
) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        async with opener(kept=wrong):
            pass
    assert str(caught.value).startswith("backends.kept: ")
    assert told in str(caught.value)


# --- tenants ---


async def test_a_tenant_chooses_by_name_and_gives_back(opener) -> None:
    async with opener() as spine:
        await spine.routes.create(named("kept", tenant_id="*"))
        await spine.append("s", event(1), CONTEXT)
        mine = spine.tenant_routes(CONTEXT)
        before = mine.get(STREAM)
        assert (before.backend, before.revision, before.choices) == ("kept", None, ["fast", "kept"])
        chosen = await mine.choose(STREAM, "fast", reason="quick")
        assert (chosen.backend, chosen.state) == ("fast", "serving")
        assert await numbers_in(spine) == []
        (newest, _) = await spine.routes.history.entries({}, None, 9)
        assert (newest.by, newest.reason, newest.revision) == ("tenant t", "quick", chosen.revision)
        with pytest.raises(RouteConflict):
            await mine.choose(STREAM, "kept", if_revision=chosen.revision + 7)
        await mine.choose(STREAM, "kept", if_revision=chosen.revision)
        await mine.give_back(STREAM)
        assert await numbers_in(spine) == [1]
        with pytest.raises(RouteNotFound):
            await mine.give_back(STREAM)
        with pytest.raises(RouteNotFound):
            await mine.choose(STREAM, "kept", if_revision=3)


async def test_tenants_choose_only_what_is_declared_for_them(opener, tmp_path) -> None:
    async with opener() as spine:
        await spine.routes.create(named("kept", OTHER))
        before = sorted(path.name for path in tmp_path.iterdir())
        for name in (
            "private",
            "rows",
            "nowhere",
            "",
            "filesystem",
            "../kept",
            "/etc",
            "secret://x",
        ):
            with pytest.raises(InvalidRoute, match="must be one of: fast, kept"):
                await spine.tenant_routes(CONTEXT).choose(STREAM, name)
        assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing was opened"
        theirs = await spine.tenant_routes(OTHER).choose(STREAM, "private")
        assert (theirs.backend, theirs.choices) == ("private", ["fast", "kept", "private"])
        with pytest.raises(InvalidRoute, match="none is declared for this"):
            await spine.tenant_routes(CONTEXT).choose(ResourceKind.OBJECT_STORE, "kept")


async def test_what_the_operator_wrote_stays_and_its_config_is_not_shown(opener) -> None:
    async with opener() as spine:
        own = await spine.routes.create(memory_route(CONTEXT, config={"name": "hidden"}))
        mine = spine.tenant_routes(CONTEXT)
        assert "hidden" not in repr(mine.list())
        assert mine.get(STREAM)[:4] == ("event_stream", True, None, None)
        with pytest.raises(RouteNotEditable, match="the operator has written"):
            await mine.choose(STREAM, "fast")
        with pytest.raises(RouteNotEditable, match="the operator has written"):
            await mine.give_back(STREAM)
        assert spine.routes.get(own.key) == own


async def test_a_tenant_keeps_what_the_operator_noted_on_its_row(opener) -> None:
    async with opener() as spine:
        noted = await spine.routes.create(named("fast", tier="gold", cost_notes="dear"))
        await spine.tenant_routes(CONTEXT).choose(STREAM, "kept")
        row = spine.routes.get(noted.key)
        assert (row.backend, row.tier, row.cost_notes) == ("kept", "gold", "dear")


async def test_nobody_edits_where_the_operator_has_not_said_so(opener) -> None:
    async with opener(editable=False) as spine:
        mine = spine.tenant_routes(CONTEXT)
        assert [one.resource_kind for one in mine.list()] == ["event_stream", "tabular_store"]
        with pytest.raises(RouteNotEditable, match=r"routing\.tenant_editable is off"):
            await mine.choose(STREAM, "fast")
        assert spine.routes.list() == []


@pytest.mark.parametrize("field", ["tenant_id", "env", "project_id"])
async def test_a_context_that_says_star_edits_no_wildcard_row(opener, field) -> None:
    async with opener() as spine:
        await spine.routes.create(named("kept", tenant_id="*", env="*", project_id="*"))
        starred = spine.tenant_routes(CONTEXT.model_copy(update={field: "*"}))
        for call in (starred.choose(STREAM, "fast"), starred.give_back(STREAM)):
            with pytest.raises(RouteNotEditable, match="one tenant, env and project"):
                await call
        with pytest.raises(RouteNotEditable):
            starred.list()
        assert [route.backend for route in spine.routes.list()] == ["kept"]
