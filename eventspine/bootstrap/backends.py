"""StreamBackends: the backends that routes lead to, each opened once, below the supervisor."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import anyio
import anyio.to_thread
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from pydantic import BaseModel

from eventspine.actors.host import StreamHost
from eventspine.actors.journal_host import JournalHost, passivate_idle
from eventspine.actors.probe import probe, probe_store
from eventspine.actors.states.all import JOURNALED
from eventspine.adapters.filesystem.blobs.logged import LoggedBlobs
from eventspine.adapters.filesystem.blobs.store import FilesystemBlobStore
from eventspine.adapters.filesystem.disk import NO_SPACE, Disk
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.memory.blobs import MemoryBlobStore
from eventspine.adapters.memory.event_stream import MemoryEventStreamStore
from eventspine.bootstrap.configs import FilesystemConfig, MemoryConfig, config_of
from eventspine.bootstrap.secrets import DeclaredSecrets
from eventspine.contracts.backends import Backends, Probe
from eventspine.contracts.blobs import BlobStore
from eventspine.contracts.circuit import told
from eventspine.contracts.declared import Declared
from eventspine.contracts.errors import (
    EventspineError,
    SecretUnavailable,
    StoreFull,
    StoreUnavailable,
)
from eventspine.contracts.route import ResourceRoute
from eventspine.contracts.secrets import Secret, references
from eventspine.contracts.settings import (
    Settings,
    StorageSettings,
)
from eventspine.contracts.stores import EventStreamStore
from eventspine.contracts.threads import Threads
from eventspine.runtime.child import ChildSpec
from eventspine.runtime.supervisor import Supervisor

OUTAGE = (OSError, EventspineError)
STORE_SHUTDOWN_S = 60.0
SIGNING_KEY_BYTES_MIN = 16


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
        self._logged: dict[str, LoggedBlobs] = {}  # of each root, for both of its stores
        self._opening = anyio.Lock()
        self._declared = Declared(settings.backends)
        self._secrets = DeclaredSecrets(settings.secrets, root, disk, threads)

    def check(self, resource_kind: str, backend_type: str, config: dict[str, Any]) -> None:
        model = config_of(resource_kind, backend_type, config)
        self._secrets.check_declared(references(model))

    async def open(self, route: ResourceRoute) -> StreamHost:
        return await self._open(route)

    async def open_or_wait(self, route: ResourceRoute) -> StreamHost:
        """`open`, where a backend that cannot be opened is an outage from the beginning.

        It refuses whoever asks, its circuit is open, and its supervisor tries again, with back-off,
        as it does with one that was lost later.
        """
        return await self._open(route, waits=True)

    async def _open(self, route: ResourceRoute, *, waits: bool = False) -> StreamHost:
        name, make, folder = self._named(route)
        key = await self._signing_key(route)
        async with self._opening:
            if name not in self._hosts:
                self._hosts[name] = await self._start(name, make, folder, waits=waits)
        host = self._hosts[name]
        host.upload_keys.pop(route.key, None)
        if key is not None:
            host.upload_keys[route.key] = key
        return host

    async def _signing_key(self, route: ResourceRoute) -> Secret | None:
        """What a route signs upload addresses with, if it names it. Raises SecretUnavailable."""
        reference = getattr(self._config(route), "signing_key", None)
        if reference is None:
            return None
        key = await self._secrets.secret(reference)
        if len(key.reveal()) < SIGNING_KEY_BYTES_MIN:
            raise SecretUnavailable(
                f"{reference}: a signing key has at least {SIGNING_KEY_BYTES_MIN} bytes",
                reference=reference,
            )
        return key

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
        await self._signing_key(route)
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
        config = self._config(route)
        if isinstance(config, MemoryConfig):
            return f"memory:{config.name}", MemoryEventStreamStore, None
        assert isinstance(config, FilesystemConfig)
        make = partial(self._filesystem, config.root)
        return f"filesystem:{config.root}", make, config.root

    def _config(self, route: ResourceRoute) -> BaseModel:
        target = self._declared.resolved(route)
        return config_of(target.resource_kind.value, target.backend_type, target.config)

    def _filesystem(self, folder: str) -> FilesystemEventStreamStore:
        path = self._root / folder
        self._disk.make_directories(path)
        for part in PurePosixPath(folder).parents:
            self._disk.sync_directory(self._root / part)
        return FilesystemEventStreamStore.open(
            path,
            affordable(self._settings),
            self._disk,
            threads=self._threads,
            express=self._settings.native,
            blobs=self._logged.get(folder),
        )

    def _blobs(self, folder: str | None) -> BlobStore:
        if folder is None:
            return MemoryBlobStore()
        logged = self._logged[folder] = LoggedBlobs(self._threads)
        most = self._settings.storage.logged_object_bytes_max
        return FilesystemBlobStore(self._root / folder, self._disk, self._threads, logged, most)

    async def _start(
        self,
        name: str,
        make: Callable[[], EventStreamStore],
        folder: str | None,
        *,
        waits: bool,
    ) -> StreamHost:
        host = StreamHost(name, self._settings.limits, self._threads, native=self._settings.native)
        host.blobs = self._blobs(folder)
        journals = [JournalHost(host, kind.value, make) for kind, make in JOURNALED.items()]
        children = (
            ChildSpec(
                "store",
                partial(_own_store, host, make, self._threads, waits=waits),
                shutdown_s=STORE_SHUTDOWN_S,
            ),
            ChildSpec("passivation", host.directory.passivate_idle),
            ChildSpec("journals", partial(passivate_idle, journals)),
            ChildSpec("heartbeats", host.heartbeats),
        )
        tree = Supervisor(f"backend {name}", children, outage=OUTAGE)
        host.health.circuit.failures_max = self._settings.routing.circuit_failures
        host.health.reopens_in_s = partial(_reopens_in_s, tree)
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


def _reopens_in_s(tree: Supervisor) -> float | None:
    """How long until the supervisor opens the store again; None: it does not wait."""
    store = next((child for child in tree.tree().children if child.name == "store"), None)
    return None if store is None else store.due_in_s


async def _own_store(
    host: StreamHost,
    make: Callable[[], EventStreamStore],
    threads: Threads,
    *,
    waits: bool = False,
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
) -> None:
    """Open a store and serve it; close it whatever happens, so that it can be opened again.

    Args:
        waits: that it cannot be opened ends this incarnation, and is no failed start.
    """
    host.health.trying()
    try:
        store = await threads.run_sync(make)
    except OUTAGE as error:
        host.outage = told(error)
        host.health.failed(error, gone=True)
        if waits:
            task_status.started()
        raise
    try:
        await host.serve(store, task_status=task_status)
    finally:
        with anyio.CancelScope(shield=True):
            await threads.run_sync(store.close)
