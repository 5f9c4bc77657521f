"""Writing blobs from the log to files, and making the files durable. The flusher's thread only.

A file is written under its draft's name and renamed: who has the old one open keeps it. Nothing is
synced here but for a checkpoint: the log vouches until then.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from eventspine.adapters.filesystem.blobs.logged import LoggedBlobs, Place
from eventspine.adapters.filesystem.disk import Disk

TOGETHER = 32  # files written in a turn: a millisecond or two


class BlobFiles:
    """Args: sync_whole: syncs the file system, if that is worth it for so many files."""

    def __init__(
        self, root: Path, disk: Disk, logged: LoggedBlobs, sync_whole: Callable[[int], bool]
    ) -> None:
        self.root = root
        self.logged = logged
        self._disk = disk
        self._sync_whole = sync_whole
        self._made: set[str] = set()

    def write(self) -> None:
        """Write what was taken. After an error the rest is still to be written."""
        while True:
            with self.logged.some(TOGETHER) as blobs:
                if not blobs:
                    return
                folders = {folder for (folder, _), _ in blobs}
                self._make(folders)
                files = [
                    (self._path((folder, blob.draft)), self._path((folder, name)), blob.data)
                    for (folder, name), blob in blobs
                ]
                try:
                    self._place(files, folders)
                except OSError:
                    for draft, *_ in files:
                        if self._disk.exists(draft):
                            self._disk.unlink(draft)  # it may have another name the next time
                    raise

    def _place(self, files: Sequence[tuple[Path, Path, bytes]], folders: set[str]) -> None:
        try:
            self._disk.place_all(files)
        except FileNotFoundError:  # somebody has removed a folder since it was made
            self._made -= folders
            self._make(folders)
            self._disk.place_all(files)

    def _make(self, folders: set[str]) -> None:
        """Once for each: a process that was killed may have made one and not synced it."""
        for folder in folders - self._made:
            self._disk.make_directories(self.root / folder)
            self._made.add(folder)

    def sync(self) -> None:
        """Make everything written so far durable, names included."""
        unsynced = self.logged.unsynced
        if unsynced and self._sync_whole(len(unsynced)):
            with self.logged.turn():
                unsynced.clear()  # only this thread adds to it
            return
        folders: dict[str, None] = {}
        while unsynced:
            with self.logged.turn():  # so that a file keeps its name until it is synced
                folder, _ = place = next(reversed(unsynced))
                self._sync(place)
                del unsynced[place]
            folders[folder] = None
        self.sync_folders(folders)

    def sync_folders(self, folders: Iterable[str]) -> None:
        """Make the names in these durable, and theirs."""
        for folder in folders:
            for path in (folder, *map(str, PurePosixPath(folder).parents)):
                self._disk.sync_directory(self.root / path)

    def _sync(self, place: Place) -> None:
        try:
            fd = self._disk.open(self._path(place))
        except FileNotFoundError:
            return  # it was removed since
        try:
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)

    def _path(self, place: Place) -> Path:
        folder, name = place
        return self.root / folder / name

    # --- by itself, after a start: recovery/blobs.py ---

    def write_alone(self, place: Place, data: bytes) -> None:
        """Write one file and sync it, as if nothing had been there."""
        path = self._path(place)
        if self._disk.exists(path):
            self._disk.unlink(path)
        self._disk.place_all([(path, path, data)])
        self._sync(place)

    def empty(self, place: Place) -> None:
        """Leave a file without bytes, if the disk can: no size is right then but none."""
        try:
            fd = self._disk.open(self._path(place), create=True)
            try:
                self._disk.truncate(fd, 0)
            finally:
                self._disk.close(fd)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
