"""What failed its check: bytes kept in `{root}/quarantine/`, and the streams that refuse.

    {name of the file, "/" as "!"}.{n}    bytes, never deleted or overwritten
    streams.jsonl                         a line for each stream that refuses until somebody acts:
                                          {"key":"event_stream/…","found":"…","through":12}

A stream is listed when its files alone would not show that something is missing: the log that did
is dropped. `through` is the last sequence that is known to have been acknowledged.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from eventspine.adapters.filesystem.disk import Disk

QUARANTINE_FOLDER = "quarantine"
STREAMS_FILE = "streams.jsonl"
log = logging.getLogger(__name__)


class Refused(msgspec.Struct, frozen=True):
    """A stream that refuses, why, and how far it is known to have gone."""

    key: str
    found: str
    through: int


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

    # --- streams ---

    def refused(self) -> dict[str, Refused]:
        """The streams that refuse, by key."""
        data = self._disk.read_file(self.folder / STREAMS_FILE) or b""
        found = [msgspec.json.decode(line, type=Refused) for line in data.splitlines()]
        return {one.key: one for one in found}

    def refuse(self, key: str, found: str, through: int) -> None:
        """Have a stream refuse, durably, from now on and after every start."""
        known = self.refused()
        before = known.get(key)
        if before is not None:
            found, through = before.found, max(before.through, through)
        self._write({**known, key: Refused(key, found, through)})

    def release(self, key: str) -> None:
        """Somebody has looked: the stream is taken for what its files say."""
        self._write({name: one for name, one in self.refused().items() if name != key})

    def _write(self, refused: dict[str, Refused]) -> None:
        self._disk.make_directories(self.folder)
        self._disk.sync_directory(self._root)
        data = b"".join(msgspec.json.encode(one) + b"\n" for one in refused.values())
        self._disk.replace_file(self.folder / STREAMS_FILE, data)
