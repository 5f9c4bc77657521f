"""Putting the parts together: the one module that names adapters, and the supervisor tree.

    eventspine                       one_for_one
      backend filesystem:.           one_for_one; a failing disk is an outage, not a crash
        store                        opens the root, commits until it fails or the process stops
        passivation                  idle actors rest
        journals                     so do those of the other kinds of store
        heartbeats                   quiet readers get a sign of life
      backend memory:default         …
      memory sweep                   entries of the memory store expire, and it is told

A backend is started when the first route leads to it. Stopping drains right to left: readers are
told, accepted appends are committed, files are completed, the lock is released.
"""

from __future__ import annotations

import logging
import resource
import shutil
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import anyio
import anyio.to_thread
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from eventspine.actors.host import StreamHost
from eventspine.actors.journal_host import JournalHost, passivate_idle
from eventspine.actors.probe import probe, probe_store
from eventspine.actors.route import RouteActors
from eventspine.actors.states.all import JOURNALED
from eventspine.adapters.filesystem.blobs import FilesystemBlobStore
from eventspine.adapters.filesystem.disk import NO_SPACE, Disk
from eventspine.adapters.filesystem.doctor import Finding, examine
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.lock import RootLock
from eventspine.adapters.filesystem.registry import FilesystemRegistryStore
from eventspine.adapters.filesystem.secret_file import SecretFile
from eventspine.adapters.memory.blobs import MemoryBlobStore
from eventspine.adapters.memory.event_stream import MemoryEventStreamStore
from eventspine.contracts.backends import Backends, Probe
from eventspine.contracts.errors import (
    BackendRefusedInMode,
    EventspineError,
    InvalidRoute,
    NoRouteConfigured,
    RootInvalid,
    StoreFull,
    StoreUnavailable,
    UnsupportedBackend,
)
from eventspine.contracts.route import ResourceKind, ResourceRoute, RouteSpec
from eventspine.contracts.settings import (
    SETTINGS_FILE,
    LabSettings,
    Settings,
    StorageSettings,
    load_settings,
)
from eventspine.contracts.settings_text import settings_text
from eventspine.contracts.stores import EventStreamStore
from eventspine.contracts.threads import THREADS, Threads
from eventspine.runtime.child import ChildSpec
from eventspine.runtime.supervisor import Supervisor
from eventspine.services.current import running
from eventspine.services.routes import RouteService
from eventspine.services.spine import Spine

log = logging.getLogger(__name__)
OUTAGE = (OSError, EventspineError)
STORE_SHUTDOWN_S = 60.0
SIGNING_KEY_FILE = "signing.key"


class FilesystemConfig(BaseModel):
    """`root`: a folder below the root of the installation; its own commit log lives there."""

    model_config = ConfigDict(extra="forbid")

    root: str = "."

    @field_validator("root")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\0" in value:
            raise ValueError("must be a relative path below the root")
        return str(path)


class MemoryConfig(BaseModel):
    """`name`: routes with the same name share one memory."""

    model_config = ConfigDict(extra="forbid")

    name: str = "default"


KINDS = (ResourceKind.EVENT_STREAM, *JOURNALED)
CONFIGS: dict[tuple[str, str], type[BaseModel]] = {
    (kind.value, backend): config
    for kind in KINDS
    for backend, config in (("filesystem", FilesystemConfig), ("memory", MemoryConfig))
}


class StreamBackends(Backends[StreamHost]):
    """Opens the backends of streams and journals, each once, as children of `supervisor`."""

    def __init__(
        self,
        root: Path,
        settings: Settings,
        supervisor: Supervisor,
        opened: Callable[[StreamHost], None],
        disk: Disk,
        threads: Threads,
    ) -> None:
        self._root = root
        self._settings = settings
        self._supervisor = supervisor
        self._opened = opened
        self._disk = disk
        self._threads = threads
        self._hosts: dict[str, StreamHost] = {}
        self._opening = anyio.Lock()

    def check(self, resource_kind: str, backend_type: str, config: dict[str, Any]) -> None:
        self._config(resource_kind, backend_type, config)

    async def open(self, route: ResourceRoute) -> StreamHost:
        name, make, folder = self._named(route)
        async with self._opening:
            if name not in self._hosts:
                self._hosts[name] = await self._start(name, make, folder)
        return self._hosts[name]

    async def probe(self, route: ResourceRoute) -> Probe:
        """Through the open backend, or one opened for it and removed again if it was not there."""
        steps: list[str] = []
        try:
            async with self._opening:
                await self._probe(route, steps)
        except (*OUTAGE, TimeoutError) as error:
            return Probe(False, steps, f"{type(error).__name__}: {error}")
        return Probe(True, steps)

    async def _probe(self, route: ResourceRoute, steps: list[str]) -> None:
        name, make, folder = self._named(route)
        host = self._hosts.get(name)
        if host is not None:
            host.open_store()
            steps.append("open")
            await probe(host, route.mode, steps)
            return
        above = () if folder is None else (self._root / folder, *(self._root / folder).parents)
        made = [path for path in above if not self._disk.exists(path)]
        try:
            store = await self._threads.run_sync(make)
            steps.append("open")
            try:
                host = StreamHost(name, self._settings.limits, self._threads, native=False)
                await probe_store(store, host, route.mode, steps)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._threads.run_sync(store.close)
        finally:
            if made:
                with anyio.CancelScope(shield=True):
                    await self._threads.run_sync(partial(shutil.rmtree, made[-1], True))

    def _named(
        self, route: ResourceRoute
    ) -> tuple[str, Callable[[], EventStreamStore], str | None]:
        """The name of a route's backend, how to open it, and the folder it lives in."""
        config = self._config(route.resource_kind.value, route.backend_type, route.config)
        if isinstance(config, MemoryConfig):
            return f"memory:{config.name}", MemoryEventStreamStore, None
        assert isinstance(config, FilesystemConfig)
        make = partial(self._filesystem, config.root)
        return f"filesystem:{config.root}", make, config.root

    @staticmethod
    def _config(resource_kind: str, backend_type: str, config: dict[str, Any]) -> BaseModel:
        model = CONFIGS.get((resource_kind, backend_type.lower()))
        if model is None:
            supported = sorted(backend for kind, backend in CONFIGS if kind == resource_kind)
            raise UnsupportedBackend(backend_type, resource_kind=resource_kind, supported=supported)
        try:
            return model.model_validate(config)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(["config", *map(str, first["loc"])])
            raise InvalidRoute(f"{where}: {first['msg']}", field=where) from None

    def _filesystem(self, folder: str) -> FilesystemEventStreamStore:
        path = self._root / folder
        self._disk.make_directories(path)
        for part in PurePosixPath(folder).parents:
            self._disk.sync_directory(self._root / part)
        return FilesystemEventStreamStore.open(
            path, affordable(self._settings), self._disk, threads=self._threads
        )

    async def _start(
        self, name: str, make: Callable[[], EventStreamStore], folder: str | None
    ) -> StreamHost:
        host = StreamHost(name, self._settings.limits, self._threads, native=self._settings.native)
        host.blobs = (
            MemoryBlobStore()
            if folder is None
            else FilesystemBlobStore(self._root / folder, self._disk, self._threads)
        )
        journals = [JournalHost(host, kind.value, make) for kind, make in JOURNALED.items()]
        children = (
            ChildSpec(
                "store", partial(_own_store, host, make, self._threads), shutdown_s=STORE_SHUTDOWN_S
            ),
            ChildSpec("passivation", host.directory.passivate_idle),
            ChildSpec("journals", partial(passivate_idle, journals)),
            ChildSpec("heartbeats", host.heartbeats),
        )
        tree = Supervisor(f"backend {name}", children, outage=OUTAGE)
        try:
            await self._supervisor.start_child(tree.child_spec(shutdown_s=STORE_SHUTDOWN_S + 5))
        except OSError as error:
            refusal = StoreFull if error.errno in NO_SPACE else StoreUnavailable
            raise refusal(f"{name} cannot be opened: {error}", retry_after_s=5) from error
        self._opened(host)
        return host


def affordable(settings: Settings) -> StorageSettings:
    """The storage settings, with no more open files than half of what this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    may = soft // 2 if soft != resource.RLIM_INFINITY else settings.storage.open_files_max
    files = max(min(settings.storage.open_files_max, may), 8)
    return settings.storage.model_copy(update={"open_files_max": files})


async def _own_store(
    host: StreamHost,
    make: Callable[[], EventStreamStore],
    threads: Threads,
    *,
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
) -> None:
    """Open a store and serve it; close it whatever happens, so that it can be opened again."""
    store = await threads.run_sync(make)
    try:
        await host.serve(store, task_status=task_status)
    finally:
        with anyio.CancelScope(shield=True):
            await threads.run_sync(store.close)


# --- opening a root -------------------------------------------------------------------------


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
    routes = RouteService(store, _Checks(), settings.routing)
    await routes.load()
    if routes.revision == 0:
        lab = settings.lab or LabSettings()
        for kind in KINDS:
            spec = RouteSpec(
                resource_kind=kind,
                backend_type="filesystem",
                reason="written by eventspine init",
                **lab.model_dump(),
            )
            route = await routes.create(spec, by="eventspine init")
            written.append(f"{store.path}: route {'/'.join(route.key)} -> filesystem")
    return written


class _Checks(Backends[None]):
    """Enough to validate routes of a root that is not open."""

    def check(self, resource_kind: str, backend_type: str, config: dict[str, Any]) -> None:
        StreamBackends._config(resource_kind, backend_type, config)

    async def open(self, route: ResourceRoute) -> None:
        raise NoRouteConfigured(route.resource_kind.value)

    async def probe(self, route: ResourceRoute) -> Probe:
        return Probe(False, [], "the root is not open")


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
        return await anyio.to_thread.run_sync(examine, path, settings.storage, disk, accept)
    finally:
        lock.release()
