"""Bytes that failed their check: kept in `{root}/quarantine/`, never deleted or overwritten."""

from __future__ import annotations

import logging
from pathlib import Path

from eventspine.adapters.filesystem.disk import Disk

QUARANTINE_FOLDER = "quarantine"
log = logging.getLogger(__name__)


class Quarantine:
    def __init__(self, root: Path, disk: Disk) -> None:
        self.folder = root / QUARANTINE_FOLDER
        self._root = root
        self._disk = disk

    def copy(self, path: Path, start: int = 0) -> Path:
        """Keep a file, or what of it lies behind `start`. Returns where."""
        data = self._disk.read_file(path) or b""
        return self.keep(path, data[start:])

    def keep(self, path: Path, data: bytes) -> Path:
        """Keep bytes that came from `path`. The same bytes are kept once."""
        name = str(path.relative_to(self._root)).replace("/", "!")
        self._disk.make_directories(self.folder)
        self._disk.sync_directory(self._root)
        n = 0
        while True:
            target = self.folder / f"{name}.{n}"
            existing = self._disk.read_file(target)
            if existing is None:
                self._disk.replace_file(target, data)
                log.warning("kept %d bytes of %s in %s", len(data), path, target)
                return target
            if existing == data:
                return target
            n += 1
