"""The simulated disk, telling a trace what is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventspine.testing.simulated_disk import Crashed, SimulatedDisk

TOLD = [
    "_write",
    "_sync",
    "allocate",
    "truncate",
    "sync_directory",
    "sync_filesystem",
    "make_directories",
    "rename",
    "unlink",
]


class TracedDisk(SimulatedDisk):
    """Args: tell: told every operation that may change something, and how it ended."""

    def __init__(self, root: Path, seed: int, tell: Callable[[str], object]) -> None:
        super().__init__(root, seed)
        self._tell = tell
        self._paths: dict[int, Path] = {}

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> int:
        fd = super().open(path, create=create, exclusive=exclusive)
        self._paths[fd] = path
        return fd

    def _told(self, name: str, arguments: tuple[Any, ...]) -> Any:
        shown = " ".join([name.strip("_"), *map(self._text, arguments)])
        try:
            answer = getattr(super(), name)(*arguments)
        except (OSError, Crashed) as error:
            self._tell(f"{shown}: {error}")
            raise
        self._tell(shown)
        return answer

    def _text(self, argument: Any) -> str:
        if isinstance(argument, Path):
            return str(argument.relative_to(self.root))
        if isinstance(argument, bytes):
            return f"{len(argument)} bytes at"
        if callable(argument):
            return ""
        file = self._open.get(argument)  # by the name it has now
        return self._text(file.path) if file is not None else str(argument)


def _telling(name: str) -> Callable[..., Any]:
    return lambda self, *arguments: self._told(name, arguments)


for _name in TOLD:
    setattr(TracedDisk, _name, _telling(_name))
