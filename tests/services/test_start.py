"""A start with a backend that cannot be opened: its routes say so, and everything else serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventspine.bootstrap import open_spine
from eventspine.contracts.audit import SYSTEM_TENANT, TIMELINE_STREAM
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import StoreUnavailable
from eventspine.contracts.route import RouteKey, RouteSpec
from eventspine.services.spine import Spine

pytestmark = pytest.mark.anyio
LAB = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
AWAY = RequestContext(tenant_id="t_away", env="dev", mode="lab")
SYSTEM = RequestContext(tenant_id=SYSTEM_TENANT, env="dev", mode="lab")
EVENT = {"event_type": "x", "payload": {}}
KEY = RouteKey("event_stream", "t_away", "dev", "default", "lab")
TABLES = RouteKey("tabular_store", "t_away", "dev", "default", "lab")


async def prepared(root: Path) -> None:
    """A root with a tenant whose backend is another one; it cannot be opened from now on."""
    async with open_spine(root, lab=True) as spine:
        for key in (KEY, TABLES):
            more: dict[str, Any] = {"backend_type": "filesystem", "config": {"root": "away"}}
            await spine.routes.create(RouteSpec(**key._asdict(), **more))
        await spine.append("s", EVENT, AWAY)
    (root / "away").rename(root / "set aside")
    (root / "away").write_text("no folder")


async def closed(spine: Spine, key: RouteKey) -> None:
    """Until the circuit of a route has closed."""
    (host,) = [host for host in spine._hosts if host.name == "filesystem:away"]
    moved = anyio.Event()
    host.health.listeners.append(lambda health, before: moved.set())
    with anyio.fail_after(30):
        while host.health.refuses:
            await moved.wait()
            moved = anyio.Event()


async def told(spine: Spine) -> list[dict[str, Any]]:
    await spine.audit.queue.settled()
    page = await spine.list_after(TIMELINE_STREAM, None, SYSTEM, limit=1000)
    events = [json.loads(line) for line in page.lines]
    return [one["payload"] for one in events if one["event_type"] == "routing.health"]


async def test_what_cannot_be_opened_is_an_outage_of_its_routes_alone(tmp_path: Path) -> None:
    await prepared(tmp_path)
    async with open_spine(tmp_path) as spine:
        await spine.append("s", EVENT, LAB)
        with pytest.raises(StoreUnavailable) as caught:
            await spine.append("s", EVENT, AWAY)
        assert isinstance(caught.value.fields["retry_after_s"], int)
        with pytest.raises(StoreUnavailable):
            await spine.tables(AWAY).upsert("t", "k", 1)
        for key in (KEY, TABLES):
            circuit = spine.routes.explain(key)["health"]["circuit"]
            assert circuit["state"] in ("open", "half_open")
            assert "away" in circuit["last_error"]
        ready = spine.ready()
        check = ready["checks"]["filesystem:away"]
        assert (ready["ready"], check["ok"]) == (False, False)
        assert "away" in check["detail"]
        assert ready["checks"]["filesystem:."]["ok"]
        states = spine.health.routes_by_state()
        assert states["open"] + states["half_open"] == 2
        (first,) = [one for one in await told(spine) if one["before"] == "closed"]
        assert first["backend"] == "filesystem:away"
        assert set(first["routes"]) == {"/".join(KEY), "/".join(TABLES)}


async def test_it_is_tried_again_until_it_can_be_opened(tmp_path: Path) -> None:
    await prepared(tmp_path)
    async with open_spine(tmp_path) as spine:
        (tmp_path / "away").unlink()
        (tmp_path / "set aside").rename(tmp_path / "away")
        await closed(spine, KEY)
        assert (await spine.append("s", EVENT, AWAY)).sequences == [2]
        await spine.tables(AWAY).upsert("t", "k", 1)
        assert spine.ready()["ready"]
        assert spine.routes.health(KEY).state == "serving"


async def test_a_start_without_any_backend_serves_refusals_and_stops(tmp_path: Path) -> None:
    async with open_spine(tmp_path, lab=True) as spine:
        await spine.append("s", EVENT, LAB)
    (tmp_path / "commit_log").rename(tmp_path / "set aside")
    (tmp_path / "commit_log").write_text("no folder")
    async with open_spine(tmp_path) as spine:
        with pytest.raises(StoreUnavailable):
            await spine.append("s", EVENT, LAB)
        assert not spine.ready()["ready"]


async def test_a_change_to_such_a_backend_is_stale_and_the_old_one_serves(tmp_path: Path) -> None:
    async with open_spine(tmp_path, lab=True) as spine:
        (tmp_path / "away").write_text("no folder")
        key = KEY._replace(tenant_id="t_demo")
        more: dict[str, Any] = {"backend_type": "filesystem", "config": {"root": "away"}}
        await spine.routes.update(RouteSpec(**key._asdict(), **more))
        health = spine.routes.health(key)
        assert (health.state, health.serving_revision) == ("stale", 1)
        assert (await spine.append("s", EVENT, LAB)).sequences == [1]


async def test_a_row_that_nothing_serves_any_more_is_stale_at_the_start(tmp_path: Path) -> None:
    async with open_spine(tmp_path, lab=True):
        pass
    path = tmp_path / "routing_registry_store" / "routes.json"
    file = json.loads(path.read_text())
    (row,) = [one for one in file["routes"] if one["resource_kind"] == "vector_store"]
    row["config"] = {"folder": "of an older version"}
    path.write_text(json.dumps(file))
    async with open_spine(tmp_path) as spine:
        health = spine.routes.health(KEY._replace(tenant_id="t_demo", resource_kind="vector_store"))
        assert health.state == "stale"
        assert health.reason is not None
        assert "folder" in health.reason
        checks = spine.ready()["checks"]
        assert "stale" in checks["route vector_store/t_demo/dev/default/lab"]["detail"]
        await spine.append("s", EVENT, LAB)
