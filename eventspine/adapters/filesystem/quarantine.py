"""What failed its check: bytes kept in `{root}/quarantine/`, and the streams that refuse.

    {name of the file, "/" as "!"}.{n}    bytes, never deleted or overwritten
    streams.jsonl                         a line for each stream that refuses until somebody acts:
                                          {"key":"event_stream/…","found":"…","through":12,
                                           "epoch":1,"mode":"lab","kept":["event_stream!….0"]}
    trial                                 for a moment: whether the disk takes a file at all

A stream is listed when its files alone would not show that something is missing: the log that did
is dropped. `through` is the last sequence that is known to have been acknowledged. `kept` names the
files that hold its events from the log; with `epoch`, `mode` and `closed` put_back.py completes the
stream from them. These are left out where they are not known, or empty.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from eventspine.adapters.filesystem.disk import Disk

QUARANTINE_FOLDER = "quarantine"
STREAMS_FILE = "streams.jsonl"
TRIAL_FILE = "trial"
log = logging.getLogger(__name__)


class Refused(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stream that refuses, why, and how far it is known to have gone.

    The rest is of what was set aside from the log. `epoch` 0: nothing was.
    """

    key: str
    found: str
    through: int
    epoch: int = 0
    mode: str | None = None
    closed: bool = False
    kept: tuple[str, ...] = ()

    def then(self, later: Refused) -> Refused:
        """This refusal and a later one as one. A delete between them ends what came before it."""
        if 0 < self.epoch < later.epoch:
            return msgspec.structs.replace(later, found=self.found)
        return Refused(
            self.key,
            self.found,
            max(self.through, later.through),
            max(self.epoch, later.epoch),
            self.mode or later.mode,
            self.closed or later.closed,
            (*self.kept, *(name for name in later.kept if name not in self.kept)),
        )


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
        self._make_folder()
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

    def try_disk(self) -> None:
        """Write and sync a file as those of streams are. Raises OSError when the disk cannot."""
        self._make_folder()
        path = self.folder / TRIAL_FILE
        fd = self._disk.open(path, create=True)
        try:
            self._disk.write(fd, b"can this disk keep anything?\n", 0)
            self._disk.sync_data(fd)
        finally:
            self._disk.close(fd)
        self._disk.unlink(path)

    # --- streams ---

    def refused(self) -> dict[str, Refused]:
        """The streams that refuse, by key."""
        data = self._disk.read_file(self.folder / STREAMS_FILE) or b""
        found = [msgspec.json.decode(line, type=Refused) for line in data.splitlines()]
        return {one.key: one for one in found}

    def kept(self, name: str) -> bytes:
        """What is kept under this name; nothing when somebody took it away."""
        return self._disk.read_file(self.folder / name) or b""

    def refuse(self, one: Refused) -> None:
        """Have a stream refuse, durably, from now on and after every start."""
        known = self.refused()
        before = known.get(one.key)
        self._write({**known, one.key: one if before is None else before.then(one)})

    def release(self, key: str) -> None:
        """Somebody has looked: the stream is taken for what its files say."""
        self._write({name: one for name, one in self.refused().items() if name != key})

    def _make_folder(self) -> None:
        self._disk.make_directories(self.folder)
        self._disk.sync_directory(self._root)

    def _write(self, refused: dict[str, Refused]) -> None:
        self._make_folder()
        data = b"".join(msgspec.json.encode(one) + b"\n" for one in refused.values())
        self._disk.replace_file(self.folder / STREAMS_FILE, data)
