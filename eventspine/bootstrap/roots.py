"""What is done to a root that no process has open: making one, and looking it through."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import anyio
import anyio.to_thread

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.doctor import Finding, examine
from eventspine.adapters.filesystem.lock import RootLock
from eventspine.adapters.filesystem.registry.registry import FilesystemRegistryStore
from eventspine.bootstrap.configs import KINDS, ChecksOnly
from eventspine.contracts.audit import SYSTEM_TENANT
from eventspine.contracts.errors import (
    RootInvalid,
)
from eventspine.contracts.route import RouteKey, RouteSpec
from eventspine.contracts.settings import (
    SETTINGS_FILE,
    LabSettings,
    load_settings,
)
from eventspine.contracts.settings_text import settings_text
from eventspine.contracts.system_routes import adding, system_keys, without_system
from eventspine.services.routing.service import RouteService


async def init_root(root: Path) -> list[str]:
    """Write lab settings and explicit lab routes where there are none. Returns what was written."""
    written, disk = [], Disk()
    made = disk.make_directories(root)
    for folder in made:
        disk.sync_directory(folder.parent)
    if not disk.exists(root / SETTINGS_FILE):  # durably: a power cut must not change the settings
        disk.replace_file(root / SETTINGS_FILE, settings_text().encode())
        written.append(str(root / SETTINGS_FILE))
    settings = load_settings(root)
    store = FilesystemRegistryStore(root)
    routes = RouteService(store, ChecksOnly(), settings.routing)
    await routes.load()
    if routes.revision == 0:
        lab = settings.lab or LabSettings()
        for key in (*_lab_keys(lab), *system_keys(lab.mode)):
            spec = RouteSpec(
                **key._asdict(), backend_type="filesystem", reason="written by eventspine init"
            )
            route = await routes.create(spec, by="eventspine init")
            written.append(f"{store.path}: route {'/'.join(route.key)} -> filesystem")
    return written


def _lab_keys(lab: LabSettings) -> list[RouteKey]:
    scope = (lab.tenant_id, lab.env, lab.project_id, lab.mode)
    return [RouteKey(kind.value, *scope) for kind in KINDS]


async def examine_root(root: str | Path, accept: Collection[str] = ()) -> list[Finding]:
    """Check everything below a root that no process has open, and mend what recovery mends.

    Args:
        accept: keys of quarantined streams that shall serve what their files hold.
    """
    path, disk = Path(root), Disk()
    if not path.is_dir():  # noqa: ASYNC240 - as above
        raise RootInvalid(f"{path} is not a directory")
    settings = load_settings(path)
    lock = RootLock(path, disk)
    try:
        found = await anyio.to_thread.run_sync(examine, path, settings.storage, disk, accept)
        return [*found, *await _look_at_routes(path, disk)]
    finally:
        lock.release()


async def _look_at_routes(path: Path, disk: Disk) -> list[Finding]:
    """A system tenant without routes is nothing wrong; it is said how it gets them."""
    try:
        image = await FilesystemRegistryStore(path, disk).load()
    except RootInvalid as error:
        return [Finding("damaged", "routes", error.detail)]
    missing = without_system([route.key for route in image.routes])
    return [
        Finding("ok", "routes", f"nothing serves {kind} of {SYSTEM_TENANT}: {adding(mode)}")
        for mode, kind in missing
    ]
