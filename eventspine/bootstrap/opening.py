"""Opening a root: its lock, its registry, its supervisor tree, and the Spine over them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActors
from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.lock import RootLock
from eventspine.adapters.filesystem.registry import FilesystemRegistryStore
from eventspine.adapters.filesystem.secret_file import SecretFile
from eventspine.bootstrap.backends import StreamBackends
from eventspine.bootstrap.configs import KINDS
from eventspine.bootstrap.roots import init_root
from eventspine.contracts.errors import (
    BackendRefusedInMode,
    RootInvalid,
)
from eventspine.contracts.settings import (
    Settings,
    load_settings,
)
from eventspine.contracts.threads import THREADS, Threads
from eventspine.runtime.child import ChildSpec
from eventspine.runtime.supervisor import Supervisor
from eventspine.services.current import running
from eventspine.services.routing.service import RouteService
from eventspine.services.spine import Spine

log = logging.getLogger(__name__)
SIGNING_KEY_FILE = "signing.key"


@asynccontextmanager
async def open_spine(
    root: str | Path = "var",
    *,
    lab: bool = False,
    settings: Settings | None = None,
    disk: Disk | None = None,
    threads: Threads = THREADS,
) -> AsyncIterator[Spine]:
    """Open a root and own it until the block ends.

    Args:
        lab: write lab settings and routes first if the root has none (as `eventspine init`).
        settings: instead of the root's settings.toml.
        disk, threads: what the filesystem backend stands on; a simulation has its own.

    Raises:
        RootLocked: another process has the root.
        RootInvalid, SettingsInvalid: the root cannot be used as it is.
    """
    path, disk = Path(root), disk or Disk()
    if lab:
        await init_root(path)
    if not disk.is_directory(path):
        raise RootInvalid(f"{path} is not a directory; make it with: eventspine init --root {path}")
    settings = settings or load_settings(path)
    lock = RootLock(path, disk)
    try:
        async with _running(path, settings, disk, threads) as spine:
            spine.announce = lock.announce
            with running(spine):
                yield spine
    finally:
        lock.release()


@asynccontextmanager
async def _running(
    path: Path, settings: Settings, disk: Disk, threads: Threads
) -> AsyncIterator[Spine]:
    supervisor = Supervisor("eventspine")
    hosts: list[StreamHost] = []
    backends = StreamBackends(path, settings, supervisor, hosts.append, disk, threads)
    routes = RouteService(FilesystemRegistryStore(path, disk, threads), backends, settings.routing)
    await routes.load()
    actors = RouteActors(routes.find, backends)
    spine = Spine(settings, routes, actors, hosts, supervisor.tree)
    spine.signing_key = SecretFile(path / SIGNING_KEY_FILE, disk, threads).read
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            await tasks.start(supervisor.run)
            await _open_all(routes, actors)
            await supervisor.start_child(ChildSpec("memory sweep", spine.memory_expiry.run))
            yield spine
        except Exception as error:  # raised below, outside the group, which would wrap it
            failure = error
        finally:
            spine.drain()
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _open_all(routes: RouteService, actors: RouteActors[StreamHost]) -> None:
    """Open what the routes lead to, so that recovery is done before the first request.

    The mode guard looks again, since a route may have been written under other settings (R-04):
    what it refuses is not opened, and the other routes work.
    """
    for route in routes.list():
        try:
            routes.guard(route)
        except BackendRefusedInMode as error:
            log.error("route %s is not opened: %s", "/".join(route.key), error)  # noqa: TRY400
            continue
        if route.resource_kind in KINDS:
            await actors.resolve(route.key)
