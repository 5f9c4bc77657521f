"""Edits of both files and changes in any order, beside a dictionary; and a crash at every step.

The dictionary knows what the registry must be; what was refused must be on the disk still.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.registry.registry import FilesystemRegistryStore
from eventspine.adapters.filesystem.registry.route_file import FilesystemRouteFile
from eventspine.bootstrap.configs import ChecksOnly
from eventspine.contracts.errors import RegistryEditBroken, RouteConflict, RouteNotFound
from eventspine.contracts.route import ResourceKind, RouteKey, RouteSpec
from eventspine.contracts.settings import RoutingSettings
from eventspine.contracts.threads import THREADS
from eventspine.services.routing.edits import REGISTRY_FILE, RouteEdits
from eventspine.services.routing.service import RouteService
from eventspine.testing.simulated_disk import Crashed, SimulatedDisk
from tests.inner import examples

ROOT = Path("/root")
OWN = ROOT / REGISTRY_FILE
NAMED = ROOT / "routes.json"
TENANTS = st.sampled_from("abc")
NAMES = st.sampled_from(["x", "y", "z"])
ROWS = st.dictionaries(TENANTS, NAMES, max_size=3)
SERIALS = st.sampled_from(["now", "before", "later"])
STEPS = st.one_of(
    st.tuples(st.just("put"), TENANTS, NAMES),
    st.tuples(st.just("delete"), TENANTS),
    st.tuples(st.just("edit"), SERIALS, ROWS),
    st.tuples(st.just("break")),
    st.tuples(st.just("file"), SERIALS | st.just("none"), ROWS),
    st.tuples(st.just("break_file")),
    st.tuples(st.just("look")),
    st.tuples(st.just("restart")),
)


def spec(tenant: str, name: str) -> RouteSpec:
    return RouteSpec(
        resource_kind=ResourceKind.EVENT_STREAM,
        tenant_id=tenant,
        env="e",
        mode="lab",
        backend_type="memory",
        config={"name": name},
    )


def file_text(serial: int | None, rows: dict[str, str]) -> bytes:
    routes = [spec(*row).model_dump(mode="json") for row in sorted(rows.items())]
    return json.dumps({"serial": serial, "routes": routes}).encode()


class Registry:
    """The registry of one root on a simulated disk, opened as often as it takes."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk = disk

    async def open(self) -> None:
        disk = cast(Disk, self.disk)
        store = FilesystemRegistryStore(ROOT, disk)
        self.routes = RouteService(store, ChecksOnly(), RoutingSettings())
        file = FilesystemRouteFile(ROOT, NAMED.name, disk, THREADS)
        self.edits = RouteEdits(self.routes, store, file)
        await self.routes.load()
        await self.edits.look()

    def rows(self) -> dict[str, str]:
        return {route.tenant_id: route.config["name"] for route in self.routes.list()}

    def refused(self) -> list[Any]:
        folder = OWN.parent
        names = [n for n in self.disk.names(folder) if n.startswith("routes.refused-")]
        return [json.loads(self.disk.read_file(folder / name) or b"") for name in names]


class Dictionary:
    """What the registry must be."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.revision = 0
        self.by_file = False  # the last change was taken from the declared file
        self.own: tuple[int | None, dict[str, str]] | None = None  # an edit not looked at yet
        self.broken = False
        self.file: tuple[int | None, dict[str, str]] | None = None
        self.conflicting: tuple[int | None, dict[str, str]] | None = None
        self.set_aside: list[tuple[int | None, dict[str, str]]] = []

    def change(self, rows: dict[str, str], *, by_file: bool = False) -> None:
        self.rows, self.by_file = dict(rows), by_file
        self.revision += 1

    def look(self) -> bool:
        """What a look does; False while the registry's own file is broken."""
        if self.broken:
            return False
        if self.own is not None:
            edit, self.own = self.own, None
            if edit[1] != self.rows:
                if edit[0] == self.revision:
                    self.change(edit[1])
                else:
                    self.set_aside.append(edit)
        self._look_at_file()
        return True

    def _look_at_file(self) -> None:
        if self.file is None or self.file[1] == self.rows:
            return
        serial = self.file[0]
        follows = serial == self.revision or self.by_file
        if serial is not None and follows and self.file != self.conflicting:
            self.change(self.file[1], by_file=True)
        else:
            self.conflicting = self.file


async def run(steps: list[tuple[Any, ...]]) -> None:
    registry, model = Registry(SimulatedDisk(ROOT)), Dictionary()
    await registry.open()
    await registry.routes.create(spec("a", "x"))
    model.change({"a": "x"})
    for step in steps:
        await take(registry, model, step)
    await registry.edits.look()
    model.look()
    await agree(registry, model)


async def take(registry: Registry, model: Dictionary, step: tuple[Any, ...]) -> None:
    match step:
        case ("put", tenant, name):
            await put(registry, model, tenant, name)
        case ("delete", tenant):
            await delete(registry, model, tenant)
        case ("edit", serial, rows):
            model.own, model.broken = (number(serial, model), rows), False
            registry.disk.replace_file(OWN, file_text(*model.own))
        case ("break",):
            model.own, model.broken = None, True
            registry.disk.replace_file(OWN, b'{"revision": 1, "rou')
        case ("file", serial, rows):
            model.file = (number(serial, model), rows)
            registry.disk.replace_file(NAMED, file_text(*model.file))
        case ("break_file",):
            model.file = None
            registry.disk.replace_file(NAMED, b"[")
        case ("look",):
            await registry.edits.look()
            model.look()
            await agree(registry, model)
        case ("restart",) if not model.broken:
            await registry.edits.look()  # an edit of a root that is not open is its first image
            model.look()
            await registry.open()
            model.conflicting = None
            model.look()


async def put(registry: Registry, model: Dictionary, tenant: str, name: str) -> None:
    if not model.look():
        with pytest.raises(RegistryEditBroken):
            await registry.routes.create(spec(tenant, name))
        return
    try:
        await registry.routes.create(spec(tenant, name))
    except RouteConflict:
        assert tenant in model.rows
        await registry.routes.update(spec(tenant, name))
        model.look()
    model.change({**model.rows, tenant: name})


async def delete(registry: Registry, model: Dictionary, tenant: str) -> None:
    key: RouteKey = spec(tenant, "x").key
    if not model.look():
        with pytest.raises(RegistryEditBroken):
            await registry.routes.delete(key)
        return
    try:
        await registry.routes.delete(key)
    except RouteNotFound:
        assert tenant not in model.rows
        return
    model.change({t: name for t, name in model.rows.items() if t != tenant})


def number(serial: str, model: Dictionary) -> int | None:
    serials = {"now": model.revision, "before": max(0, model.revision - 1), "none": None}
    return serials.get(serial, model.revision + 2)


async def agree(registry: Registry, model: Dictionary) -> None:
    assert registry.rows() == model.rows
    assert registry.routes.revision == model.revision
    assert (REGISTRY_FILE in registry.routes.files) == model.broken
    refused = [(edit["serial"], sorted(rows_of(edit).items())) for edit in registry.refused()]
    kept = [(serial, sorted(rows.items())) for serial, rows in model.set_aside]
    assert sorted(refused) == sorted(kept), "an edit is lost"
    history = await registry.routes.history.entries({}, None, 1000)
    assert [change.revision for change in history] == list(range(model.revision, 0, -1))


def rows_of(edit: dict[str, Any]) -> dict[str, str]:
    return {row["tenant_id"]: row["config"]["name"] for row in edit["routes"]}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=examples(60), phases=[Phase.explicit, Phase.generate])
@given(steps=st.lists(STEPS, max_size=12))
def test_edits_and_changes_in_any_order_lose_nothing(backend: str, steps: Any) -> None:
    anyio.run(run, steps, backend=backend)


# --- crashes ---


@pytest.mark.parametrize("kind", ["process", "power"])
@pytest.mark.parametrize("serial", [3, 2], ids=["taken", "set aside"])
def test_a_crash_while_an_edit_is_taken_loses_no_change(kind: Any, serial: int) -> None:
    crashes = sum(anyio.run(crashed, n, kind, serial) for n in range(1, 60))
    assert crashes > 5


async def crashed(nth: int, kind: Any, serial: int) -> bool:
    """Whether the crash came. An edit was made from revision `serial` of a registry at 3."""
    disk = SimulatedDisk(ROOT, nth)
    registry = Registry(disk)
    await registry.open()
    for tenant in "abc":
        await registry.routes.create(spec(tenant, "x"))
    edit = {"a": "edited", "b": "x"}
    disk.replace_file(OWN, file_text(serial, edit))
    disk.crash_at = disk.operations + nth
    came = False
    try:
        await registry.edits.look()
    except (Crashed, BaseExceptionGroup):
        came = True
    disk.crash(kind)
    after = Registry(disk)
    await after.open()
    everything = {"a": "x", "b": "x", "c": "x"}
    if serial == 3:
        assert after.rows() == edit, f"operation {nth}"
        assert after.routes.revision in (3, 4)
    elif came and after.routes.revision == 2:  # the editor's own write is what was found
        assert after.rows() == edit, f"operation {nth}"
    else:
        assert (after.rows(), after.routes.revision) == (everything, 3), f"operation {nth}"
        assert [rows_of(one) for one in after.refused()] == [edit]
    await after.routes.create(spec("new", "x"))  # and it goes on from there
    history = await after.routes.history.entries({}, None, 9)
    assert history[0].action == "create"
    return came
