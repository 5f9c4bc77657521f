"""History, rollback, dry run, plan and apply, what owners answer, and the watch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventspine.bootstrap import open_spine
from eventspine.contracts.audit import SYSTEM_TENANT
from eventspine.contracts.errors import (
    BackendRefusedInMode,
    InvalidRoute,
    RevisionGone,
    RouteConflict,
)
from eventspine.contracts.route import ResourceKind, RouteKey
from eventspine.contracts.route_file import RouteFile, parsed_file
from eventspine.contracts.settings import Settings
from eventspine.services.spine import Spine
from tests.actors.faulty import CONTEXT, event, memory_route, numbers

pytestmark = pytest.mark.anyio


@pytest.fixture
async def spine(tmp_path: Path, anyio_backend: Any) -> AsyncIterator[Spine]:
    async with open_spine(tmp_path, settings=Settings()) as spine:
        yield spine


def named(name: str, **more: Any) -> Any:
    return memory_route(CONTEXT, config={"name": name}, **more)


async def entries(spine: Spine, **matching: str) -> list[Any]:
    return await spine.routes.history.entries(matching, None, 100)


# --- history and rollback ---


async def test_the_history_says_who_what_when_and_why(spine, tmp_path) -> None:
    first = await spine.routes.create(named("one", reason="begin"), by="ada")
    second = await spine.routes.update(named("two", tier="gold", reason="grow"), by="bob")
    await spine.routes.delete(first.key, by="eve", reason="over")
    deleted, updated, created = await entries(spine)
    assert [c.revision for c in (created, updated, deleted)] == [1, 2, 3]
    assert [c.by for c in (created, updated, deleted)] == ["ada", "bob", "eve"]
    assert [c.reason for c in (created, updated, deleted)] == ["begin", "grow", "over"]
    assert updated.rows[0].diff == [
        {"op": "replace", "path": "/config/name", "value": "two"},
        {"op": "replace", "path": "/reason", "value": "grow"},
        {"op": "replace", "path": "/tier", "value": "gold"},
    ]
    assert (updated.rows[0].before, updated.rows[0].after) == (first, second)
    assert (deleted.rows[0].before, deleted.rows[0].after) == (second, None)
    assert await entries(spine, tenant_id="nobody") == []
    lines = (tmp_path / "routing_registry_store" / "history.jsonl").read_bytes().splitlines()
    assert len(lines) == 3


async def test_the_history_survives_a_restart_and_pages(tmp_path) -> None:
    async with open_spine(tmp_path, settings=Settings()) as spine:
        await spine.routes.create(named("one"))
        await spine.routes.update(named("two"))
    async with open_spine(tmp_path, settings=Settings()) as spine:
        await spine.routes.update(named("three"))
        assert [c.revision for c in await entries(spine)] == [3, 2, 1]
        page = await spine.routes.history.entries({}, 3, 1)
        assert [c.revision for c in page] == [2]


async def test_a_refused_change_is_in_no_history(spine) -> None:
    created = await spine.routes.create(named("one"))
    with pytest.raises(RouteConflict):
        await spine.routes.update(named("two"), created.revision + 1)
    with pytest.raises(InvalidRoute):
        await spine.routes.update(memory_route(CONTEXT, config={"x": 1}))
    assert len(await entries(spine)) == 1


async def test_a_rollback_is_a_new_revision_and_moves_the_streams(spine) -> None:
    await spine.routes.create(named("one"))
    await spine.append("s", event(1), CONTEXT)
    await spine.routes.update(named("two"))
    await spine.routes.create(named("other", tier="x").model_copy(update={"tenant_id": "u"}))
    await spine.append("s", event(2), CONTEXT)
    change = await spine.routes.rollback(1, by="ada")
    assert (change.revision, change.action, change.reason) == (4, "rollback", "back to revision 1")
    (route,) = spine.routes.list()
    assert (route.config, route.revision, route.updated_by) == ({"name": "one"}, 4, "ada")
    assert numbers((await spine.list_after("s", None, CONTEXT)).lines) == [1]
    await spine.routes.rollback(3)  # and back
    assert [route.tenant_id for route in spine.routes.list()] == ["t", "u"]
    assert numbers((await spine.list_after("s", None, CONTEXT)).lines) == [2]
    await spine.routes.rollback(0)
    assert spine.routes.list() == []


async def test_a_rollback_to_what_is_changes_nothing_and_to_what_never_was_is_refused(
    spine, tmp_path
) -> None:
    await spine.routes.create(named("one"))
    assert await spine.routes.rollback(1) is None
    with pytest.raises(RevisionGone):
        await spine.routes.rollback(2)
    with pytest.raises(RouteConflict):
        await spine.routes.rollback(0, if_revision=7)
    (tmp_path / "routing_registry_store" / "history.jsonl").unlink()
    with pytest.raises(RevisionGone) as caught:
        await spine.routes.rollback(0)
    assert (caught.value.earliest, caught.value.latest) == (1, 1)
    assert spine.routes.revision == 1


# --- dry run ---


@pytest.mark.parametrize("kind", [ResourceKind.EVENT_STREAM, ResourceKind.TABULAR_STORE])
async def test_a_dry_run_tries_the_backend_and_changes_nothing(spine, tmp_path, kind) -> None:
    more = {"resource_kind": kind}
    spec = memory_route(CONTEXT, backend_type="filesystem", config={"root": "a/b"})
    spec = spec.model_copy(update=more)
    trial = await spine.routes.dry_run(spec, create=True)
    assert trial.probe == (True, ["open", "write", "read", "delete"], None)
    assert (trial.action, trial.moves, trial.revision) == ("create", [], 0)
    assert not (tmp_path / "a").exists(), "what was opened for it is gone"
    assert spine.routes.list() == []
    await spine.routes.create(spec)
    before = sorted(spine.ready()["checks"])
    again = await spine.routes.dry_run(spec, create=False)
    assert again.probe.ok
    assert again.diff == []
    assert sorted(spine.ready()["checks"]) == before


def tenants(scopes: list[RouteKey]) -> list[str]:
    """Whose they are; the audit and the timeline of the system tenant aside."""
    return [key.tenant_id for key in scopes if key.tenant_id != SYSTEM_TENANT]


async def test_a_dry_run_names_the_scopes_it_would_move(spine) -> None:
    wild = named("all").model_copy(update={"tenant_id": "*"})
    await spine.routes.create(wild)
    for tenant in ("t", "u"):
        await spine.append("s", event(1), CONTEXT.model_copy(update={"tenant_id": tenant}))
    moved = await spine.routes.dry_run(
        wild.model_copy(update={"config": {"name": "two"}}), create=False
    )
    assert tenants(moved.moves) == ["t", "u"]
    assert moved.diff == [{"op": "replace", "path": "/config/name", "value": "two"}]
    one = await spine.routes.dry_run(named("own"), create=True)
    assert [key.tenant_id for key in one.moves] == ["t"]
    await spine.routes.create(named("own"))
    await spine.append("s", event(2), CONTEXT)
    rest = await spine.routes.dry_run(
        wild.model_copy(update={"config": {"name": "two"}}), create=False
    )
    assert tenants(rest.moves) == [], "u has not asked since the change"


async def test_a_dry_run_of_a_backend_that_fails_says_where(spine, tmp_path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    spec = memory_route(CONTEXT, backend_type="filesystem", config={"root": "taken"})
    trial = await spine.routes.dry_run(spec, create=True)
    assert not trial.probe.ok
    assert trial.probe.steps == []
    assert trial.probe.detail
    assert (tmp_path / "taken").read_text() == "a file where a folder should be"


async def test_a_dry_run_refuses_what_the_change_would(spine) -> None:
    with pytest.raises(BackendRefusedInMode):
        await spine.routes.dry_run(named("x").model_copy(update={"mode": "prod"}), create=True)
    with pytest.raises(InvalidRoute):
        await spine.routes.dry_run(memory_route(CONTEXT, config={"x": 1}), create=True)
    created = await spine.routes.create(named("one"))
    with pytest.raises(RouteConflict):
        await spine.routes.dry_run(named("two"), create=True)
    with pytest.raises(RouteConflict):
        await spine.routes.dry_run(named("two"), created.revision + 1, create=False)


# --- ACK and NACK ---


async def test_an_owner_that_swapped_says_so(spine) -> None:
    created = await spine.routes.create(named("one"))
    health = spine.routes.health(created.key)
    assert (health.state, health.serving_revision) == ("serving", 1)
    await spine.routes.update(named("two"))
    assert spine.routes.health(created.key).serving_revision == 2


async def test_a_route_that_cannot_be_opened_is_stale_until_it_is_mended(spine, tmp_path) -> None:
    created = await spine.routes.create(named("one"))
    await spine.append("s", event(1), CONTEXT)
    (tmp_path / "taken").write_text("a file where a folder should be")
    bad = memory_route(CONTEXT, backend_type="filesystem", config={"root": "taken"})
    await spine.routes.update(bad)
    health = spine.routes.health(created.key)
    assert (health.state, health.serving_revision) == ("stale", 1)
    assert health.reason.startswith("revision 2 could not be opened: ")
    ready = spine.ready()
    assert ready["ready"], "what it served before it still serves"
    check = ready["checks"]["route event_stream/t/e/default/lab"]
    assert check["detail"].startswith("stale: revision 2 could not be opened")
    assert spine.statistics().routes_stale == 1
    assert spine.routes.explain(created.key)["health"]["state"] == "stale"
    await spine.append("s", event(2), CONTEXT)
    assert numbers((await spine.list_after("s", None, CONTEXT)).lines) == [1, 2]
    await spine.routes.rollback(1)
    assert spine.routes.health(created.key).state == "serving"
    assert spine.statistics().routes_stale == 0
    assert list(spine.ready()["checks"]) == ["memory:one"]


async def test_a_new_route_that_cannot_be_opened_is_stale_too(spine, tmp_path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    bad = memory_route(CONTEXT, backend_type="filesystem", config={"root": "taken"})
    created = await spine.routes.create(bad)
    health = spine.routes.health(created.key)
    assert (health.state, health.serving_revision) == ("stale", None)
    (tmp_path / "taken").unlink()
    await spine.append("s", event(1), CONTEXT)
    assert spine.routes.health(created.key).state == "serving"


# --- plan and apply ---


async def test_a_file_is_planned_and_applied_in_one_revision(spine) -> None:
    await spine.routes.create(named("one"))
    await spine.routes.create(named("gone").model_copy(update={"tenant_id": "u"}))
    new = named("new").model_copy(update={"tenant_id": "*"})
    file = RouteFile(serial=2, routes=(named("two"), new))
    plan = spine.routes.plan(file)
    assert sorted((row.key.tenant_id, row.after is None) for row in plan) == [
        ("*", False),
        ("t", False),
        ("u", True),
    ]
    assert spine.routes.revision == 2
    change = await spine.routes.apply(file, by="ada", reason="spring")
    assert (change.revision, change.action, len(change.rows)) == (3, "apply", 3)
    assert {r.tenant_id: r.config["name"] for r in spine.routes.list()} == {"*": "new", "t": "two"}
    with pytest.raises(RouteConflict) as caught:
        await spine.routes.apply(file)
    assert caught.value.revision == 3
    assert await spine.routes.apply(file.model_copy(update={"serial": 3})) is None
    assert spine.routes.revision == 3
    with pytest.raises(RouteConflict):
        await spine.routes.apply(file.model_copy(update={"serial": None}))


async def test_a_file_with_one_bad_route_changes_nothing(spine) -> None:
    bad = memory_route(CONTEXT, config={"x": 1}).model_copy(update={"tenant_id": "v"})
    with pytest.raises(InvalidRoute):
        await spine.routes.apply(RouteFile(serial=0, routes=(named("one"), bad)))
    with pytest.raises(InvalidRoute, match="two routes"):
        await spine.routes.apply(RouteFile(serial=0, routes=(named("one"), named("two"))))
    assert spine.routes.revision == 0


def test_a_file_is_toml_or_json() -> None:
    row = named("one").model_dump(mode="json", exclude_none=True)
    toml = 'serial = 4\n[[routes]]\nresource_kind = "event_stream"\ntenant_id = "t"\nenv = "e"\n'
    toml += 'mode = "lab"\nbackend_type = "Memory"\nconfig = {name = "one"}\n'
    file = parsed_file(toml, "routes.toml")
    assert file.routes[0].model_dump(mode="json", exclude_none=True) == row
    assert parsed_file(file.model_dump_json(), "routes.json") == file
    for text, name in (("x = ", "a.toml"), ("{", "a.json"), ("[]", "a.json"), ("y = 1", "a.toml")):
        with pytest.raises(InvalidRoute):
            parsed_file(text, name)


# --- watch ---


async def test_watchers_get_what_they_do_not_have(spine) -> None:
    history = spine.routes.history
    assert history.since(0) == []
    assert history.since(1) is None, "it has a revision that never was here"
    await spine.routes.create(named("one"))
    await spine.routes.update(named("two"))
    assert [change.revision for change in history.since(0)] == [1, 2]
    assert [change.revision for change in history.since(1)] == [2]
    seen = []

    async def watch() -> None:
        await history.wait(2)
        seen.extend(history.since(2))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            assert seen == []
            await spine.routes.update(named("three"))
    assert [change.revision for change in seen] == [3]


async def test_a_watcher_that_is_too_far_behind_reads_everything_anew(spine, monkeypatch) -> None:
    history = spine.routes.history
    await spine.routes.create(named("one"))
    await spine.routes.update(named("two"))
    history._kept.popleft()
    assert history.since(0) is None
    assert [change.revision for change in history.since(1)] == [2]
