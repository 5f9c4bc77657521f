"""The system tenant's routes from the start, and the row that says what the registry lies on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eventspine.bootstrap import KINDS, examine_root, init_root, open_spine
from eventspine.contracts.audit import SYSTEM_TENANT, TIMELINE_STREAM
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import (
    BudgetExceeded,
    NoRouteConfigured,
    RouteNotEditable,
    RouteNotFound,
    SwitchRefused,
)
from eventspine.contracts.route import RouteKey, RouteSpec
from eventspine.contracts.route_file import RouteFile
from eventspine.contracts.switch import Place
from eventspine.contracts.system_routes import (
    REGISTRY_KEY,
    SYSTEM_KINDS,
    adding,
    system_keys,
    to_add,
    without_system,
)
from eventspine.services.spine import Spine

pytestmark = pytest.mark.anyio
LAB = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
SYSTEM = RequestContext(tenant_id=SYSTEM_TENANT, env="dev", mode="lab")
TABLES = RouteKey("tabular_store", "t_demo", "dev", "default", "lab")


async def timeline(spine: Spine) -> list[dict[str, Any]]:
    await spine.audit.queue.settled()
    page = await spine.list_after(TIMELINE_STREAM, None, SYSTEM, limit=1000)
    return [json.loads(line) for line in page.lines]


async def of_an_older_version(root: Path) -> None:
    """A root as `init` wrote it when the system tenant had no routes."""
    await init_root(root)
    path = root / "routing_registry_store" / "routes.json"
    file = json.loads(path.read_text())
    file["routes"] = [one for one in file["routes"] if one["tenant_id"] != SYSTEM_TENANT]
    path.write_text(json.dumps(file))


async def test_a_fresh_root_has_a_timeline_and_policies(tmp_path: Path) -> None:
    async with open_spine(tmp_path, lab=True) as spine:
        spec = RouteSpec(**TABLES._asdict(), backend_type="memory", reason="quick")
        await spine.routes.update(spec)
        (event,) = await timeline(spine)
        assert (event["event_type"], event["payload"]["reason"]) == ("routing.update", "quick")
        await spine.budget_policies(LAB).upsert("p", {"account": "a", "window": "day", "amount": 5})
        with pytest.raises(BudgetExceeded):
            await spine.budget(LAB).record("one", "a", 6)
        other = LAB.model_copy(update={"env": "test", "project_id": "p"})
        assert await spine.budget_policies(other).get("p") is None, "each env has its own"
    assert (tmp_path / "tabular_store/t_system/dev/_/policies.jsonl").is_file()
    assert (tmp_path / "event_stream/t_system/dev/_/routing/events.jsonl").is_file()


async def test_an_older_root_goes_on_and_is_told_the_command(tmp_path: Path) -> None:
    await of_an_older_version(tmp_path)
    async with open_spine(tmp_path, lab=True) as spine:
        assert len(spine.routes.list()) == len(KINDS), "its rows are its own"
        await spine.append("s", {"event_type": "x", "payload": {}}, LAB)
        with pytest.raises(NoRouteConfigured):
            await timeline(spine)
        for kind in SYSTEM_KINDS:
            key = RouteKey(kind.value, SYSTEM_TENANT, "dev", "default", "lab")
            assert adding("lab") in spine.routes.explain(key)["why"]
        assert "add-system" not in spine.routes.explain(TABLES._replace(tenant_id="x"))["why"]
    found = [one for one in await examine_root(tmp_path) if one.what == "routes"]
    assert {one.verdict for one in found} == {"ok"}
    assert len(found) == len(SYSTEM_KINDS)
    assert all(adding("lab") in one.detail for one in found)


async def test_a_whole_root_says_nothing_and_a_broken_registry_needs_a_person(
    tmp_path: Path,
) -> None:
    await init_root(tmp_path)
    assert not [one for one in await examine_root(tmp_path) if one.what == "routes"]
    (tmp_path / "routing_registry_store" / "routes.json").write_text("{")
    (found,) = [one for one in await examine_root(tmp_path) if one.what == "routes"]
    assert found.verdict == "damaged"


def test_which_routes_are_missing() -> None:
    keys = system_keys("lab")
    assert to_add([], "lab") == keys
    assert to_add(keys[:1], "lab") == keys[1:]
    assert to_add([keys[0]._replace(tenant_id="*")], "lab") == keys[1:]
    assert to_add(keys, "saas") == system_keys("saas")
    assert without_system([]) == []
    one = keys[1]._replace(env="dev")
    assert without_system([one]) == [("lab", "event_stream")]
    other = one._replace(tenant_id="t", mode="saas")
    assert without_system([*keys, other]) == [("saas", kind.value) for kind in SYSTEM_KINDS]
    assert adding("saas").endswith("--mode saas --backend TYPE")


async def test_the_registry_shows_what_it_lies_on(tmp_path: Path) -> None:
    async with open_spine(tmp_path, lab=True) as spine:
        routes = spine.routes
        row = routes.get(REGISTRY_KEY)
        assert (row.backend_type, row.revision) == ("filesystem", routes.revision)
        assert (tmp_path / row.config["file"]).is_file()
        assert routes.shown() == [*routes.list(), row]
        assert row not in routes.list(), "it is no row of the registry"
        assert routes.health(REGISTRY_KEY).state == "serving"
        asked = TABLES._replace(resource_kind=REGISTRY_KEY.resource_kind)
        found = routes.explain(asked)
        assert (found["route"]["backend_type"], found["refused"]) == ("filesystem", None)
        assert [one["wins"] for one in found["candidates"]] == [True]
        assert routes.get_route(*asked) == row
        before = routes.revision
        await routes.delete(TABLES)
        assert routes.get(REGISTRY_KEY).revision == before + 1


async def test_a_registry_nobody_has_written_lies_nowhere(tmp_path: Path) -> None:
    async with open_spine(tmp_path) as spine:
        assert spine.routes.shown() == []
        with pytest.raises(RouteNotFound):
            spine.routes.get(REGISTRY_KEY)
        assert spine.routes.explain(REGISTRY_KEY)["route"] is None


async def test_no_change_moves_the_registry(tmp_path: Path) -> None:
    async with open_spine(tmp_path, lab=True) as spine:
        routes, revision = spine.routes, spine.routes.revision
        moved = RouteSpec(**REGISTRY_KEY._asdict(), backend_type="memory")
        elsewhere = moved.model_copy(update={"tenant_id": "t", "mode": "lab"})
        for spec in (moved, elsewhere):
            with pytest.raises(RouteNotEditable, match="opened before any route"):
                await routes.create(spec)
            with pytest.raises(RouteNotEditable):
                await routes.dry_run(spec, create=True)
            with pytest.raises(RouteNotEditable):
                await routes.delete(spec.key)
        with pytest.raises(RouteNotEditable):
            await routes.update(moved)
        with pytest.raises((RouteNotEditable, SwitchRefused)):
            await spine.switches.start(REGISTRY_KEY, Place(backend_type="memory"))
        rows = [route.spec for route in routes.list()]
        with pytest.raises(RouteNotEditable):
            await routes.apply(RouteFile(serial=revision, routes=(*rows, moved)))
        listed = RouteFile(serial=revision, routes=tuple(one.spec for one in routes.shown()))
        assert routes.plan(listed) == [], "a file of what is listed changes nothing"
        assert await routes.apply(listed) is None
        assert routes.revision == revision
