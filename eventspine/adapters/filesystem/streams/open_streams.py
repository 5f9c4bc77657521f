"""Descriptors of streams: a bounded number, held open while they are of use.

The flusher writes through the same descriptors that readers read through. Opening and closing two
files for each stream in each flush was four system calls of six, and each of them hands the
interpreter lock to another thread and has to get it back.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class OpenStream:
    """Descriptors of one stream and how many reads use them right now."""

    __slots__ = ("events", "index", "stale", "users")

    def __init__(self, events: int, index: int) -> None:
        self.events = events
        self.index = index
        self.users = 0
        self.stale = False


class OpenStreams:
    """A cache of open streams, least recently used first. Safe on any thread.

    Args:
        open_one: opens a stream, or answers None when it has no files.
        close_fd: closes a descriptor.
        streams_max: more are closed as soon as nobody reads from them.
    """

    def __init__(
        self,
        open_one: Callable[[str], OpenStream | None],
        close_fd: Callable[[int], None],
        streams_max: int,
    ) -> None:
        self._open_one = open_one
        self._close_fd = close_fd
        self._streams_max = streams_max
        self._open: OrderedDict[str, OpenStream] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, key: str) -> bool:
        return key in self._open

    def borrow_nowait(self, key: str) -> OpenStream | None:
        """A stream that is open already. Give it back."""
        with self._lock:
            files = self._open.get(key)
            if files is not None:
                self._open.move_to_end(key)
                files.users += 1
            return files

    def take_in(self, key: str, files: OpenStream) -> OpenStream:
        """Keep a stream that was opened elsewhere, borrowed. Give it back."""
        files.users = 1
        with self._lock:
            self._insert(key, files)
        return files

    @contextmanager
    def lease(self, key: str) -> Iterator[OpenStream | None]:
        """A stream, opened if need be; None when it has no files."""
        files = self.borrow_nowait(key)
        if files is None:
            files = self._open_one(key)
            if files is not None:
                self.take_in(key, files)
        try:
            yield files
        finally:
            if files is not None:
                self.give_back(files)

    def give_back(self, files: OpenStream) -> None:
        with self._lock:
            files.users -= 1
            if files.stale and files.users == 0:
                self._close(files)

    def _insert(self, key: str, files: OpenStream) -> None:
        if self._closed:  # a read was on its way: nobody else will want these
            files.stale = True
            return
        older = self._open.pop(key, None)
        if older is not None:
            self._retire(older)
        self._open[key] = files
        if len(self._open) > self._streams_max:
            _, oldest = self._open.popitem(last=False)
            self._retire(oldest)

    def _retire(self, files: OpenStream) -> None:
        files.stale = True
        if files.users == 0:
            self._close(files)

    def _close(self, files: OpenStream) -> None:
        self._close_fd(files.events)
        self._close_fd(files.index)

    def forget(self, key: str) -> None:
        """Close what is open of a stream: its files were replaced."""
        with self._lock:
            files = self._open.pop(key, None)
            if files is not None:
                self._retire(files)

    def close(self) -> None:
        """Close what is open; what is in use, or opened from now on, when it is given back."""
        with self._lock:
            self._closed = True
            for files in self._open.values():
                self._retire(files)
            self._open.clear()
