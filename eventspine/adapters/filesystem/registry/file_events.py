"""FileEvents: told that something in a few folders was touched. By watchfiles, or by looking.

Job: a thread of its own waits in watchfiles, and wakes the loop. Its Rust backend is used directly,
as its documentation describes: `awatch` begins to watch when it is first asked, and what was
written before that would be missed.
Rules: folders are watched, not files: editors replace files, and mounted configurations replace the
links that lead to them. Events that come together are one. Where the kernel has no more
notifications to give (inotify has a limit for each user), files are looked at every second instead.
Nobody waits for the thread: it ends by itself within `STEP_MS` of `close`. It is no daemon, since
Rust may not be cut off while the interpreter ends; if nobody closed it, it ends a second later.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import anyio
from watchfiles._rust_notify import RustNotify

from eventspine.contracts.threads import Threads

log = logging.getLogger(__name__)
STEP_MS = 20  # how often the thread looks up
GATHERED_MS = 200
POLL_MS = 1000
ALIVE_MS = 1000  # how often it makes sure that there is still somebody to tell


class FileEvents:
    """Made by `open_file_events`, which begins to watch before it returns."""

    def __init__(self, folders: list[str], tell: Callable[..., object]) -> None:
        self._folders = folders
        self._tell = tell
        self._touched = anyio.Event()
        self._replaced = False
        self._stop = threading.Event()

    async def next(self) -> None:
        """Until something was touched since the last call.

        Raises:
            FileNotFoundError: a folder is not the one that is watched any more.
        """
        await self._touched.wait()
        self._touched = anyio.Event()
        if self._replaced:
            raise FileNotFoundError("a folder with files of routes was replaced")

    def close(self) -> None:
        self._stop.set()

    def start(self) -> None:
        """Blocks for a moment: on a thread."""
        watcher = _watcher(self._folders)
        watched = _identities(self._folders)
        threading.Thread(
            target=self._run, args=(watcher, watched), name="route files", daemon=False
        ).start()

    def _run(self, watcher: RustNotify, watched: list[tuple[int, int]]) -> None:
        try:
            while not self._stop.is_set() and threading.main_thread().is_alive():
                found = watcher.watch(GATHERED_MS, STEP_MS, ALIVE_MS, self._stop)
                if isinstance(found, set):
                    self._tell(self._told, _identities(self._folders) != watched)
        except RuntimeError as error:  # the loop is gone, and with it who asked
            log.debug("no more news of files: %s", error)
        finally:
            watcher.close()

    def _told(self, replaced: bool) -> None:
        """On the loop."""
        self._replaced |= replaced
        self._touched.set()


async def open_file_events(
    folders: Iterable[Path], tell: Callable[..., object], threads: Threads
) -> FileEvents:
    """Watch folders that exist. Raises OSError.

    Args:
        tell: runs a function on this loop, for any thread (runtime.ticket.loop_caller).
    """
    events = FileEvents(sorted({str(folder) for folder in folders}), tell)
    await threads.run_sync(events.start)
    return events


def _identities(folders: list[str]) -> list[tuple[int, int]]:
    """What the folders are; nothing for one that is gone."""
    found = []
    for folder in folders:
        try:
            status = os.stat(folder)
        except FileNotFoundError:
            continue
        found.append((status.st_dev, status.st_ino))
    return found


def _watcher(folders: list[str]) -> RustNotify:
    try:
        return _started(folders, polling=False)
    except FileNotFoundError:
        raise
    except OSError as error:
        log.warning("no notifications of files (%s): looking every second", error)
        return _started(folders, polling=True)


def _started(folders: list[str], *, polling: bool) -> RustNotify:
    try:
        return RustNotify(folders, False, polling, POLL_MS, False, False)
    except RuntimeError as error:  # what watchfiles has no better class for
        raise OSError(str(error)) from error
