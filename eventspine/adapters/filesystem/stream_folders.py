"""Where the files of a stream are, and which streams are known to be damaged."""

from __future__ import annotations

from pathlib import Path

from eventspine.contracts.errors import StoreCorrupt

EVENTS_FILE = "events.jsonl"
INDEX_FILE = "events.idx"


class StreamFolders:
    """The folders of all streams below one root. `damaged`: key -> what was found."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.damaged: dict[str, str] = {}

    def folder(self, key: str) -> Path:
        return self.root / key

    def events_path(self, key: str) -> Path:
        return self.folder(key) / EVENTS_FILE

    def corrupt(self, key: str, found: str) -> StoreCorrupt:
        return StoreCorrupt(f"{key}: {found}", path=str(self.events_path(key)), found=found)

    def check(self, key: str) -> None:
        """Raise StoreCorrupt for a stream that is known to be damaged."""
        if key in self.damaged:
            raise self.corrupt(key, self.damaged[key])
