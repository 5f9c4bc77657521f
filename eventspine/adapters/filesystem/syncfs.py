"""syncfs(2): make all of a file system durable in one call, where that can be trusted.

Why: a checkpoint of a thousand streams takes three thousand calls of fsync and seconds, each of
them a commit of the file system's journal; one syncfs is one commit (docs/PERFORMANCE.md).
Trusted means: Linux 5.8 or later, which reports a failed write-back to a descriptor that was open
before it (syncfs(2), "VERSIONS"), on a file system whose own fsync is known to write its journal
and flush the device in syncfs as well. Elsewhere files are synced one by one.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_TRUSTED = frozenset([0xEF53, 0x58465342, 0x01021994])  # ext4, xfs, tmpfs: linux/magic.h
_BEGIN = 2  # SYNC_FILE_RANGE_WRITE
_STATFS_BYTES = 256  # more than any struct statfs has


def is_trusted(path: Path) -> bool:
    """Whether `sync` may stand for syncing every file and folder below `path`."""
    return _kernel() >= (5, 8) and _type_of(path) in _TRUSTED


def sync(fd: int) -> None:
    """Blocks until the file system of `fd` is durable. Raises OSError."""
    if _libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def begin_write_back(fd: int) -> None:
    """sync_file_range(2) of a whole file, without waiting for any of it. Errors are the sync's."""
    if hasattr(_libc, "sync_file_range"):
        _libc.sync_file_range(fd, ctypes.c_long(0), ctypes.c_long(0), _BEGIN)


def _kernel() -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", platform.release())
    linux = platform.system() == "Linux" and hasattr(_libc, "syncfs")
    return (int(match[1]), int(match[2])) if match and linux else (0, 0)


def _type_of(path: Path) -> int:
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc.statfs(os.fsencode(path), buffer) != 0:
        return 0
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
