"""The routing registry in one file, `{root}/routing_registry_store/routes.json`.

{
  "revision": 2,
  "routes": [
    {"resource_kind": "event_stream", "tenant_id": "t_demo", "env": "dev", "mode": "lab",
     "project_id": "default", "backend_type": "filesystem", "config": {}, "reason": null,
     "revision": 2, "updated_at": "2026-11-22T13:05:01.123456Z", "updated_by": "init"}
  ]
}

Beside it is the history of its changes (registry_history.py), and `switches.json`: an object with
the list `switches`, see contracts/switch.py. Both are replaced as a whole: written beside, synced,
renamed, directory synced. A reader sees one revision or the next, and a crash leaves one of them.
What people write into it (registry_edit.py) is known by its bytes: a save does not replace an edit
that nobody has looked at.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.registry.edit import (
    REFUSED,
    edited_file,
    edited_image,
    refused_path,
)
from eventspine.adapters.filesystem.registry.history import RegistryHistory
from eventspine.contracts.errors import (
    InvalidRoute,
    RootInvalid,
    RouteConflict,
    StoreUnavailable,
)
from eventspine.contracts.registry import RegistryImage, RegistryStore
from eventspine.contracts.route import ResourceRoute
from eventspine.contracts.route_change import RouteChange
from eventspine.contracts.route_file import RouteFile
from eventspine.contracts.switch import Switch
from eventspine.contracts.threads import THREADS, Threads

SWITCHES_NAME = "switches.json"
REGISTRY_FILE = Path("routing_registry_store") / "routes.json"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    revision: int
    routes: tuple[ResourceRoute, ...]


class _Switches(BaseModel):
    model_config = ConfigDict(extra="forbid")

    switches: tuple[Switch, ...]


class FilesystemRegistryStore(RegistryStore):
    """The registry of one root; the root's lock keeps other processes away."""

    backend_type: ClassVar[str] = "filesystem"
    config: ClassVar[Mapping[str, Any]] = {"file": str(REGISTRY_FILE)}

    def __init__(self, root: Path, disk: Disk | None = None, threads: Threads = THREADS) -> None:
        self.path = root / REGISTRY_FILE
        self._disk = disk or Disk()
        self._threads = threads
        self._saving = threading.Lock()
        self._history = RegistryHistory(self.path.parent, self._disk)
        self._revision: int | None = None  # of the image last loaded or saved
        self._ours: set[bytes | None] = set()  # what it is when nobody else wrote it
        self._answered: set[bytes | None] = set()  # an edit that the caller knows

    async def load(self) -> RegistryImage:
        return await self._threads.run_sync(self._load)

    async def save(
        self, image: RegistryImage, *, replaces: int, change: RouteChange | None = None
    ) -> None:
        await self._threads.run_sync(self._save_alone, image, replaces, change)

    async def load_switches(self) -> tuple[Switch, ...]:
        return await self._threads.run_sync(self._load_switches)

    def _load_switches(self) -> tuple[Switch, ...]:
        path = self.path.with_name(SWITCHES_NAME)
        data = self._disk.read_file(path)
        if data is None:
            return ()
        try:
            return _Switches.model_validate_json(data).switches
        except ValidationError as error:
            raise RootInvalid(f"{path}: {error.errors()[0]['msg']}") from error

    async def save_switches(self, switches: Sequence[Switch]) -> None:
        await self._threads.run_sync(self._save_switches, _Switches(switches=tuple(switches)))

    def _save_switches(self, file: _Switches) -> None:
        text = json.dumps(file.model_dump(mode="json"), indent=2) + "\n"
        with self._saving:
            self._disk.make_directories(self.path.parent)
            self._disk.sync_directory(self.path.parent.parent)
            self._disk.replace_file(self.path.with_name(SWITCHES_NAME), text.encode())

    async def history(self) -> list[RouteChange]:
        return await self._threads.run_sync(self._load_history)

    async def edited(self) -> RouteFile | None:
        return await self._threads.run_sync(self._edited)

    async def put_back(self, image: RegistryImage, *, keep: bool) -> None:
        await self._threads.run_sync(self._put_back, image, keep)

    async def set_aside_names(self) -> list[str]:
        return await self._threads.run_sync(self._set_aside_names)

    def _load_history(self) -> list[RouteChange]:
        with self._saving:
            return self._history.load(self._current())

    def _load(self) -> RegistryImage:
        with self._saving:
            data = self._disk.read_file(self.path)
            image = self._image(data)
            if data is not None:  # a killed process may have replaced it and no more
                self._disk.sync_directory(self.path.parent)
            self._revision, self._ours = image.revision, {data}
            return image

    def _current(self) -> int:
        """The revision of the image, whatever people have written over it since."""
        if self._revision is None:
            return self._image(self._disk.read_file(self.path)).revision
        return self._revision

    def _image(self, data: bytes | None) -> RegistryImage:
        if data is None:
            return RegistryImage()
        try:
            file = _File.model_validate_json(data)
        except ValidationError as error:
            try:
                return edited_image(data)
            except InvalidRoute:
                raise RootInvalid(f"{self.path}: {error.errors()[0]['msg']}") from None
        return RegistryImage(file.revision, file.routes)

    def _edited(self) -> RouteFile | None:
        with self._saving:
            data = self._read()
            if not self._ours or data in self._ours:
                return None
            file = edited_file(data)
            self._answered = {data}
            return file

    def _read(self) -> bytes | None:
        try:
            return self._disk.read_file(self.path)
        except OSError as error:
            what = f"the file of the registry: {error.strerror}"
            raise StoreUnavailable(what, retry_after_s=5) from error

    def _put_back(self, image: RegistryImage, keep: bool) -> None:
        with self._saving:
            data = self._read()
            if keep and data is not None:
                self._disk.replace_file(refused_path(self.path, image.revision, self._disk), data)
            self._write(image)

    def _set_aside_names(self) -> list[str]:
        names = self._disk.names(self.path.parent)
        return [name for name in names if Path(name).match(REFUSED)]

    def _save_alone(self, image: RegistryImage, replaces: int, change: RouteChange | None) -> None:
        """Compare and set in one: two saves at once must not both find what they replace."""
        with self._saving:
            self._save(image, replaces, change)

    def _save(self, image: RegistryImage, replaces: int, change: RouteChange | None = None) -> None:
        data = self._disk.read_file(self.path)
        current = self._image(data).revision if self._revision is None else self._revision
        if self._ours and data not in self._ours | self._answered:
            raise RouteConflict(
                "the file of the registry was written by somebody else meanwhile", revision=current
            )
        if current != replaces:
            raise RouteConflict(
                f"the registry is at revision {current}, not {replaces}", revision=current
            )
        self._disk.make_directories(self.path.parent)
        self._disk.sync_directory(self.path.parent.parent)  # a killed process may not have
        if change is not None:
            self._history.append(change, current)
        self._write(image)

    def _write(self, image: RegistryImage) -> None:
        file = _File(revision=image.revision, routes=image.routes)
        data = (json.dumps(file.model_dump(mode="json"), indent=2) + "\n").encode()
        self._ours.add(data)  # before it is there: a call that fails may leave it
        self._disk.replace_file(self.path, data)
        self._revision, self._ours, self._answered = image.revision, {data}, set()
