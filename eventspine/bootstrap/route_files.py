"""The files of routes of one root, watched: RouteEdits over the file system.

route files                      one_for_one; a folder that cannot be watched is an outage
  watch                          takes edits as they are written
"""

from __future__ import annotations

from pathlib import Path

from anyio.abc import TaskStatus

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.registry.file_events import open_file_events
from eventspine.adapters.filesystem.registry.registry import FilesystemRegistryStore
from eventspine.adapters.filesystem.registry.route_file import FilesystemRouteFile
from eventspine.contracts.errors import SettingsInvalid
from eventspine.contracts.settings import RoutingSettings
from eventspine.contracts.threads import Threads
from eventspine.runtime.child import ChildSpec
from eventspine.runtime.supervisor import Supervisor
from eventspine.runtime.ticket import loop_caller
from eventspine.services.routing.edits import RouteEdits
from eventspine.services.routing.service import RouteService


class RouteFiles:
    def __init__(
        self,
        root: Path,
        settings: RoutingSettings,
        routes: RouteService,
        store: FilesystemRegistryStore,
        disk: Disk,
        threads: Threads,
    ) -> None:
        self._disk = disk
        self._threads = threads
        file = FilesystemRouteFile(root, settings.file, disk, threads) if settings.file else None
        if file is not None and file.path.resolve() == store.path.resolve():
            entry = "routing.file"
            raise SettingsInvalid(f"{entry}: this is the registry's own file", entry=entry)
        self._folders = [path.parent for path in (store.path, file and file.path) if path]
        self._made = store.path.parent
        self.edits = RouteEdits(routes, store, file)

    def child(self) -> ChildSpec:
        children = (ChildSpec("watch", self._watch),)
        return Supervisor("route files", children, outage=(OSError,)).child_spec(shutdown_s=5.0)

    async def _watch(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()  # the start of the process does not depend on notifications
        await self._threads.run_sync(self._disk.make_directories, self._made)
        touches = await open_file_events(self._folders, loop_caller(), self._threads)
        try:
            await self.edits.run(touches)
        finally:
            touches.close()
