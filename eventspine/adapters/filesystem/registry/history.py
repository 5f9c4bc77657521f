"""The changes of the routing registry, one JSON a line: `history.jsonl` beside `routes.json`.

Rules: a line is on the disk before the image that it leads to. So a crash can leave a line of a
revision that never came to be, or a torn one: such lines are not read, and the next change cuts
them off. What led to the image is never rewritten. Source: Q15.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from eventspine.adapters.filesystem.disk import Disk
from eventspine.contracts.errors import RootInvalid
from eventspine.contracts.route_change import RouteChange

HISTORY_NAME = "history.jsonl"


class RegistryHistory:
    """The history of one registry. Not for two writers at once; its registry sees to that."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.path = folder / HISTORY_NAME
        self._disk = disk

    def load(self, revision: int) -> list[RouteChange]:
        """The changes up to `revision`, oldest first. Raises RootInvalid for a damaged line."""
        return self._read(revision)[0]

    def append(self, change: RouteChange, follows: int) -> None:
        """Add a change behind those up to revision `follows`, durably."""
        known = self._disk.exists(self.path)
        _, end = self._read(follows)
        fd = self._disk.open(self.path, create=True)
        try:
            if self._disk.size(fd) > end:
                self._disk.truncate(fd, end)
            self._disk.write(fd, change.model_dump_json().encode() + b"\n", end)
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)
        if not known:
            self._disk.sync_directory(self.path.parent)

    def _read(self, revision: int) -> tuple[list[RouteChange], int]:
        """The changes that count, and where the bytes of the last one end."""
        changes: list[RouteChange] = []
        end = 0
        lines = (self._disk.read_file(self.path) or b"").split(b"\n")
        for number, line in enumerate(lines[:-1], 1):  # behind the last newline: torn, or nothing
            try:
                change = RouteChange.model_validate_json(line)
            except ValidationError as error:
                counted = changes[-1].revision if changes else revision
                if number == len(lines) - 1 and counted == revision:
                    break  # torn, and of a revision that never came to be
                what = error.errors()[0]["msg"]
                raise RootInvalid(f"{self.path}: line {number}: {what}") from error
            if change.revision > revision:
                break
            changes.append(change)
            end += len(line) + 1
        return changes, end
