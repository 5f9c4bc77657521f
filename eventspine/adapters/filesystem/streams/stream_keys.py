"""Which streams have files below a root: found by walking its folders.

Job: the keys below a prefix. A key is `{kind}/{tenant}/{env}/{surface}/{name}` (PATH-01); a stream
of events is there when its folder holds an index, a journal when its index lies beside others.
"""

from __future__ import annotations

from collections.abc import Iterator

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.streams.stream_folders import (
    INDEX_SUFFIX,
    STREAMS,
    StreamFolders,
)

KEY_PARTS = 5


def stored_keys(folders: StreamFolders, disk: Disk, prefix: str) -> Iterator[str]:
    """Keys below `prefix`, which ends with a slash. Blocks."""
    parts = prefix.rstrip("/").split("/")
    yield from _below("/".join(parts), KEY_PARTS - len(parts), folders, disk)


def _below(path: str, levels: int, folders: StreamFolders, disk: Disk) -> Iterator[str]:
    folder = folders.root / path
    if levels > 1:
        for name in disk.names(folder):
            if disk.is_directory(folder / name):
                yield from _below(f"{path}/{name}", levels - 1, folders, disk)
        return
    for name in disk.names(folder):
        if path.startswith(STREAMS):
            key = f"{path}/{name}"
            if disk.exists(folders.index_path(key)):
                yield key
        elif name.endswith(INDEX_SUFFIX):
            yield f"{path}/{name.removesuffix(INDEX_SUFFIX)}"
