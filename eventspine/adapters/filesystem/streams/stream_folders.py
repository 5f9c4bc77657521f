"""Where the files of a stream are, and which streams are known to be damaged or to fail.

A stream of events has a folder: `{key}/events.jsonl` and `{key}/events.idx` (PATH-01). The journal
of another kind of store lies beside its siblings: `{key}.jsonl` and `{key}.idx` (PATH-03, PATH-04).
"""

from __future__ import annotations

import errno
from pathlib import Path

from eventspine.contracts.errors import StoreCorrupt

EVENTS_FILE = "events.jsonl"
INDEX_FILE = "events.idx"
LINES_SUFFIX, INDEX_SUFFIX = ".jsonl", ".idx"
STREAMS = ("event_stream/", "event_spine/")
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
        """The folder that holds a stream's files; a journal shares it with others."""
        path = self.root / key
        return path if key.startswith(STREAMS) else path.parent

    def events_path(self, key: str) -> Path:
        if key.startswith(STREAMS):
            return self.root / key / EVENTS_FILE
        return self.root / f"{key}{LINES_SUFFIX}"

    def index_path(self, key: str) -> Path:
        if key.startswith(STREAMS):
            return self.root / key / INDEX_FILE
        return self.root / f"{key}{INDEX_SUFFIX}"

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
