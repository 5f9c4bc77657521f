"""The file of routes that the settings name, `routing.file`: as for plan and apply."""

from __future__ import annotations

from pathlib import Path

from eventspine.adapters.filesystem.disk import Disk
from eventspine.contracts.errors import InvalidRoute
from eventspine.contracts.route_file import RouteFile, parsed_file
from eventspine.contracts.threads import Threads


class FilesystemRouteFile:
    """`name` is what people are told: as the settings have it."""

    def __init__(self, root: Path, name: str, disk: Disk, threads: Threads) -> None:
        self.name = name
        self.path = root / name
        self._disk = disk
        self._threads = threads

    async def read(self) -> RouteFile:
        """What it says. Raises InvalidRoute."""
        return await self._threads.run_sync(self._read)

    def _read(self) -> RouteFile:
        try:
            data = self._disk.read_file(self.path)
        except OSError as error:
            raise InvalidRoute(f"{self.name}: {error.strerror}") from None
        if data is None:
            raise InvalidRoute("it is not there")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise InvalidRoute(f"not UTF-8: {error.reason}") from None
        return parsed_file(text, self.name)
