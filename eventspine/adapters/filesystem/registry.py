"""The routing registry in one file, `{root}/routing_registry_store/routes.json`.

{
  "revision": 2,
  "routes": [
    {"resource_kind": "event_stream", "tenant_id": "t_demo", "env": "dev", "mode": "lab",
     "project_id": "default", "backend_type": "filesystem", "config": {}, "reason": null,
     "revision": 2, "updated_at": "2026-11-22T13:05:01.123456Z", "updated_by": "init"}
  ]
}

Beside it is the history of its changes (registry_history.py). Replaced as a whole: written
beside, synced, renamed, directory synced. So a reader sees one revision or the next, and a crash
leaves one of them.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.registry_history import RegistryHistory
from eventspine.contracts.errors import RootInvalid, RouteConflict
from eventspine.contracts.registry import RegistryImage, RegistryStore
from eventspine.contracts.route import ResourceRoute
from eventspine.contracts.route_change import RouteChange
from eventspine.contracts.threads import THREADS, Threads

REGISTRY_FILE = Path("routing_registry_store") / "routes.json"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    revision: int
    routes: tuple[ResourceRoute, ...]


class FilesystemRegistryStore(RegistryStore):
    """The registry of one root; the root's lock keeps other processes away."""

    def __init__(self, root: Path, disk: Disk | None = None, threads: Threads = THREADS) -> None:
        self.path = root / REGISTRY_FILE
        self._disk = disk or Disk()
        self._threads = threads
        self._saving = threading.Lock()
        self._history = RegistryHistory(self.path.parent, self._disk)

    async def load(self) -> RegistryImage:
        return await self._threads.run_sync(self._load)

    async def save(
        self, image: RegistryImage, *, replaces: int, change: RouteChange | None = None
    ) -> None:
        await self._threads.run_sync(self._save_alone, image, replaces, change)

    async def history(self) -> list[RouteChange]:
        return await self._threads.run_sync(self._load_history)

    def _load_history(self) -> list[RouteChange]:
        with self._saving:
            return self._history.load(self._load().revision)

    def _load(self) -> RegistryImage:
        data = self._disk.read_file(self.path)
        if data is None:
            return RegistryImage()
        try:
            file = _File.model_validate_json(data)
        except ValidationError as error:
            raise RootInvalid(f"{self.path}: {error.errors()[0]['msg']}") from error
        return RegistryImage(file.revision, file.routes)

    def _save_alone(self, image: RegistryImage, replaces: int, change: RouteChange | None) -> None:
        """Compare and set in one: two saves at once must not both find what they replace."""
        with self._saving:
            self._save(image, replaces, change)

    def _save(self, image: RegistryImage, replaces: int, change: RouteChange | None = None) -> None:
        current = self._load().revision
        if current != replaces:
            raise RouteConflict(
                f"the registry is at revision {current}, not {replaces}", revision=current
            )
        file = _File(revision=image.revision, routes=image.routes)
        text = json.dumps(file.model_dump(mode="json"), indent=2) + "\n"
        self._disk.make_directories(self.path.parent)
        self._disk.sync_directory(self.path.parent.parent)  # a killed process may not have
        if change is not None:
            self._history.append(change, current)
        self._disk.replace_file(self.path, text.encode())
