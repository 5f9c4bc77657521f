"""Where the files of a stream are, and which streams are known to be damaged or to fail."""

from __future__ import annotations

import errno
from pathlib import Path

from eventspine.contracts.errors import StoreCorrupt

EVENTS_FILE = "events.jsonl"
INDEX_FILE = "events.idx"
FILE_FAILURES = frozenset([errno.EIO, errno.EUCLEAN, errno.EBADMSG])  # of one file: bad sectors


class FoldersFailed(OSError):
    """The folders of a stream cannot be made: a failure of what is above it, and not its own."""


class StreamFolders:
    """The folders of all streams below one root. `damaged`: key -> what was found.

    `unreadable`: the same for reads that failed since the root was opened. That may pass, so it
    refuses nothing but the read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.damaged: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}

    def folder(self, key: str) -> Path:
        return self.root / key

    def events_path(self, key: str) -> Path:
        return self.folder(key) / EVENTS_FILE

    def corrupt(self, key: str, found: str) -> StoreCorrupt:
        return StoreCorrupt(f"{key}: {found}", path=str(self.events_path(key)), found=found)

    def failed(self, key: str, error: OSError) -> Exception:
        """What to raise for a read that failed: a bad sector is the stream's, not the store's."""
        if error.errno not in FILE_FAILURES:
            return error
        self.unreadable[key] = f"cannot be read: {error.strerror}"
        return self.corrupt(key, self.unreadable[key])

    def check(self, key: str) -> None:
        """Raise StoreCorrupt for a stream that is known to be damaged."""
        if key in self.damaged:
            raise self.corrupt(key, self.damaged[key])
