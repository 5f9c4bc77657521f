"""What the commit log holds of blobs and no file holds yet, by name, in memory.

Job: small bytes come in with the commit that names them, as one more entry of its record, and are
durable with it. From then on they are here, and read from here, until the flusher has written them
to a file; a checkpoint makes the files durable, and only then the log may go.
Rules:
- A name is looked up here first, then on the disk. Bytes go from here only once their file is in
  its place, so nobody can miss them in between.
- Giving them another name, which every put does, is a change of this table and no work of the disk.
- What is taken to be written belongs to a flush. It is renamed within it, and what comes in later
  waits for the next one: whatever the log held when a flush began is in files when it has ended.
- Files of a few at a time are written in a turn. Who renames or removes a file itself, because it
  is of a large blob or there already, takes a turn as well, and what waits here under that name is
  older and goes: so a file never comes back in place of a later one.
- After a crash every blob that the log holds is a draft again, whatever name it had; an index tells
  which of them count (object_shelf.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from eventspine.contracts.stores import StreamCommit
from eventspine.contracts.threads import THREADS, Threads

Place = tuple[str, str]  # folder and name


class LoggedBlob(NamedTuple):
    """Bytes, and the draft's name they came in under."""

    draft: str
    data: bytes


Table = dict[Place, LoggedBlob]


class LoggedBlobs:
    """Those of one root. Safe on any thread; only `turn` waits, and never for the loop."""

    def __init__(self, threads: Threads = THREADS) -> None:
        self._lock = threading.Lock()  # of the tables: nothing waits with it
        self._waiting: Table = {}
        self._taken: Table = {}
        self._writing: Table = {}
        self._before: Table = {}  # of the store that was open before, until its successor is
        self._turns = threads.condition()
        self._busy = False
        self.unsynced: dict[Place, None] = {}  # files; changed in a turn

    def __len__(self) -> int:
        return len(self._waiting) + len(self._taken) + len(self._writing)

    def begin_again(self) -> None:
        """The log is about to be read anew. What was here can be read until that is done."""
        with self._lock:
            self._before = {**self._before, **self._writing, **self._taken, **self._waiting}
            self._waiting, self._taken, self._writing = {}, {}, {}
            self.unsynced = {}

    def begun(self) -> None:
        """Everything the log holds is a draft by now, here or in a file."""
        with self._lock:
            self._before = {}

    def add(self, commit: StreamCommit) -> None:
        """Count durable bytes in. The writer's thread, or the loop."""
        folder, _, draft = commit.key.rpartition("/")
        lines = commit.lines
        data = lines[0] if len(lines) == 1 else b"".join(lines)
        with self._lock:
            self._waiting[folder, draft] = LoggedBlob(draft, data)

    # --- names ---

    def find(self, folder: str, name: str) -> bytes | None:
        place = (folder, name)
        with self._lock:
            for table in self._all():
                if place in table:
                    return table[place].data
        return None

    def names(self, folder: str) -> set[str]:
        with self._lock:
            return {name for table in self._all() for above, name in table if above == folder}

    def _all(self) -> tuple[Table, ...]:
        return self._waiting, self._taken, self._writing, self._before

    def rename(self, folder: str, draft: str, name: str) -> bool:
        """Give a draft another name here. False: it is not here, or a file by now."""
        with self._lock:
            for table in (self._waiting, self._taken):
                blob = table.pop((folder, draft), None)
                if blob is not None:
                    self._forget((folder, name))
                    table[folder, name] = blob
                    return True
        return False

    def forget(self, folder: str, name: str) -> bool:
        """A name stands for nothing here any more; in a turn. Answers whether it did."""
        with self._lock:
            return self._forget((folder, name))

    def _forget(self, place: Place) -> bool:
        tables = (self._waiting, self._taken, self._before)
        found = [table.pop(place, None) for table in tables]
        return any(blob is not None for blob in found)

    # --- a flush: the flusher's thread ---

    def take(self) -> None:
        """What waits now is to be written."""
        with self._lock:
            assert not self._taken, "a flush is under way"
            self._taken, self._waiting = self._waiting, {}

    def put_back(self) -> None:
        """It could not be written on open; nobody has added anything since."""
        with self._lock:
            self._waiting, self._taken = {**self._taken, **self._waiting}, {}

    def take_again(self, blobs: list[tuple[Place, LoggedBlob]]) -> None:
        """On open: all of them are still to be written, whatever has been."""
        with self._lock:
            self._taken, self.unsynced = dict(blobs), {}

    def taken(self) -> list[tuple[Place, LoggedBlob]]:
        return list(self._taken.items())

    @contextmanager
    def some(self, count: int) -> Iterator[list[tuple[Place, LoggedBlob]]]:
        """A turn with so many of what was taken; what is not written stays taken."""
        with self.turn():
            with self._lock:
                taken = self._taken
                self._writing = dict(taken.popitem() for _ in range(min(count, len(taken))))
            try:
                yield list(self._writing.items())
            except BaseException:
                with self._lock:
                    self._taken, self._writing = {**self._writing, **self._taken}, {}
                raise
            self.unsynced.update(dict.fromkeys(self._writing))
            with self._lock:
                self._writing = {}

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Names of files are changed by one thread at a time."""
        with self._turns:
            self._turns.wait_for(lambda: not self._busy)
            self._busy = True
        try:
            yield
        finally:
            with self._turns:
                self._busy = False
                self._turns.notify_all()
