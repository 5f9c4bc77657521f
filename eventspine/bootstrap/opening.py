"""Opening a root: its lock, its registry, its supervisor tree, and the Spine over them."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread

from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActors
from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.lock import RootLock
from eventspine.adapters.filesystem.registry.registry import FilesystemRegistryStore
from eventspine.adapters.filesystem.secret_file import SecretFile
from eventspine.bootstrap.backends import StreamBackends
from eventspine.bootstrap.configs import KINDS
from eventspine.bootstrap.declarations import check_declarations
from eventspine.bootstrap.environment import with_environment
from eventspine.bootstrap.roots import init_root
from eventspine.bootstrap.route_files import RouteFiles
from eventspine.bootstrap.secrets import DeclaredSecrets
from eventspine.contracts.declared import Declared
from eventspine.contracts.errors import (
    BackendNotDeclared,
    BackendRefusedInMode,
    EventspineError,
    RootInvalid,
)
from eventspine.contracts.route import ResourceRoute
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
AUDIT_SETTLES_S = 2.0  # before a stop, for records that nobody waits for
SWITCHES_SETTLE_S = 2.0  # before a stop, for streams that have just begun


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
    settings = with_environment(settings or load_settings(path), os.environ)
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

    def opened(host: StreamHost) -> None:
        hosts.append(host)
        spine.health.watch(host)

    check_declarations(settings)
    await DeclaredSecrets(settings.secrets, path, disk, threads).check()
    backends = StreamBackends(path, settings, supervisor, opened, disk, threads)
    store = FilesystemRegistryStore(path, disk, threads)
    routes = RouteService(store, backends, settings.routing, Declared(settings.backends))
    files = RouteFiles(path, settings.routing, routes, store, disk, threads)
    await routes.load()
    actors = RouteActors(routes.find, backends, lambda host: host.health.shown())
    spine = Spine(settings, routes, actors, hosts, supervisor.tree)
    spine.route_edits = files.edits
    spine.signing_key = SecretFile(path / SIGNING_KEY_FILE, disk, threads).read
    spine.vector_indexes.threads = threads
    spine.analytics_room.threads = threads
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            await tasks.start(supervisor.run)
            await files.edits.look()
            await spine.switches.load()
            await _open_all(routes, actors, backends)
            await spine.switches.resume()  # nothing is written before this
            spine.health.tell_of_outages()
            if settings.routing.watch_files and threads is THREADS:  # a simulation tells nobody
                await supervisor.start_child(files.child())
            await supervisor.start_child(ChildSpec("memory sweep", spine.memory_expiry.run))
            await supervisor.start_child(ChildSpec("analytics", spine.analytics_compaction.run))
            await supervisor.start_child(ChildSpec("switches", spine.switches.run))
            await supervisor.start_child(ChildSpec("route health", spine.health.run))
            await supervisor.start_child(ChildSpec("audit", spine.audit.queue.run))
            await supervisor.start_child(ChildSpec("audit outcomes", spine.lost_outcomes.run))
            await supervisor.start_child(ChildSpec("upload sweep", spine.upload_expiry.run))
            await supervisor.start_child(ChildSpec("vector indexes", spine.vector_indexes.run))
            yield spine
            with anyio.move_on_after(AUDIT_SETTLES_S):
                await spine.audit.queue.settled()
            with anyio.move_on_after(SWITCHES_SETTLE_S):
                await spine.switches.settled()
            spine.drain()
            await spine.switches.rest()
        except Exception as error:  # raised below, outside the group, which would wrap it
            failure = error
        finally:
            spine.drain()
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _open_all(
    routes: RouteService, actors: RouteActors[StreamHost], backends: StreamBackends
) -> None:
    """Open what the routes lead to, so that recovery is done before the first request.

    The mode guard looks again, since a route may have been written under other settings (R-04):
    what it refuses is not opened, nor what cannot be, and the other routes work.
    """
    for route in routes.list():
        try:
            routes.guard(route)
        except (BackendNotDeclared, BackendRefusedInMode) as error:
            log.error("route %s is not opened: %s", "/".join(route.key), error)  # noqa: TRY400
            continue
        if route.resource_kind in KINDS:
            await _open(route, actors, backends)
            routes.looked_up(route.key, route, "start")


async def _open(
    route: ResourceRoute, actors: RouteActors[StreamHost], backends: StreamBackends
) -> None:
    """A route without its secret, or with a config that nothing serves any more, is stale; one
    whose backend cannot be opened has an outage, which ends when it can.
    """
    with suppress(EventspineError):  # which its owner meets again, and tells of
        await backends.open_or_wait(route)
    try:
        await actors.resolve(route.key)
    except EventspineError as error:
        log.error("route %s is not opened: %s", "/".join(route.key), error)  # noqa: TRY400
