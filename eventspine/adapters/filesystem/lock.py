"""One process per root (Q16): an flock on `{root}/LOCK`, which says who holds it.

The file holds one JSON object, `{"pid": 4711, "url": "http://127.0.0.1:8080"}`; `url` only while
a server runs on the root. The lock goes with the process, however it ends; the text may stay.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from eventspine.adapters.filesystem.disk import Disk
from eventspine.contracts.errors import RootLocked

LOCK_FILE = "LOCK"


class RootLock:
    """The lock of one root, held from construction to `release`. Raises RootLocked."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._disk = disk
        path = root / LOCK_FILE
        fd = disk.lock(path)
        if fd is None:
            holder = lock_holder(root, disk)
            raise RootLocked(
                f"{root} is in use by process {holder.get('pid', 'unknown')}",
                root=str(root),
                pid=holder.get("pid"),
                url=holder.get("url"),
            )
        self._fd = fd
        try:
            self.announce(None)
        except OSError:
            disk.close(fd)
            raise

    def announce(self, url: str | None) -> None:
        """Say in the lock file where the holder can be talked to."""
        text = json.dumps({"pid": os.getpid(), **({"url": url} if url else {})}).encode() + b"\n"
        self._disk.truncate(self._fd, 0)
        self._disk.write(self._fd, text, 0)

    def release(self) -> None:
        try:
            self._disk.truncate(self._fd, 0)
        finally:
            self._disk.close(self._fd)


def lock_holder(root: Path, disk: Disk) -> dict[str, object]:
    """What the lock file says of its holder; empty when it says nothing readable."""
    try:
        holder = json.loads(disk.read_file(root / LOCK_FILE) or b"")
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}
