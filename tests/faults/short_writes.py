"""Writes that stop half-way, in a process that was started with the shim of short_writes.c."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class ShortWrites:
    """The shim, as loaded into this process by LD_PRELOAD."""

    def __init__(self) -> None:
        self._shim = ctypes.CDLL(None)

    def arm(self, nth: int, *, deadly: bool) -> None:
        """The n-th write from now on does half its work; `deadly`: and the process is gone."""
        self._shim.short_writes_arm(nth, int(deadly))

    @property
    def seen(self) -> int:
        """Writes since it was armed."""
        return int(self._shim.short_writes_seen())


def compiled(folder: Path) -> Path | None:
    """The shim as a library below `folder`; None where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "short_writes.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library
