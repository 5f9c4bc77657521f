"""What the commit log holds and the stream files do not hold yet, by stream, in memory.

The writer's thread adds commits once they are durable; the flusher's thread takes everything there
is, writes it to the files and lets go. In between, reads find events here. Two generations: what
is being added to, and what is being flushed; a look takes the newer one first, so that a stretch
may be seen twice on its way to the files but never missed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from eventspine.adapters.filesystem.log.seal import Seal
from eventspine.contracts.stores import CommitKind, StreamCommit, StreamHead
from eventspine.native import core


class Unflushed:
    """The end of one stream: `lines` from sequence `first` on.

    `wipe`: what the files hold is of an older epoch and counts no more.
    """

    __slots__ = ("closed", "epoch", "first", "lines", "mode", "wipe")

    def __init__(self, commit: StreamCommit) -> None:
        self.epoch = commit.epoch
        self.mode: str | None = commit.mode or None
        self.first = commit.first_sequence
        self.lines: list[bytes] = []
        self.closed = False
        self.wipe = False

    def add(self, commit: StreamCommit) -> None:
        if commit.kind is CommitKind.EVENTS:
            if not self.lines:
                self.first = commit.first_sequence
            self.mode = self.mode or commit.mode
            self.lines.extend(commit.lines)
        elif commit.kind is CommitKind.CLOSE:
            self.closed = True
        else:
            self.epoch = commit.epoch + 1
            self.mode, self.first, self.lines, self.closed = None, 1, [], False
            self.wipe = True

    @property
    def next(self) -> int:
        return self.first + len(self.lines)

    def head(self) -> StreamHead:
        return StreamHead(self.epoch, self.next - 1, self.closed, self.mode)


Generation = dict[str, Unflushed]
if core is not None:
    core.shapes(StreamCommit, Unflushed)


class Backlog:
    """Args:
    at: `start`, where the files are durable: the checkpoint that was found.
    add_blob: takes the bytes of a blob, which are no stream's.
    """

    def __init__(self, at: Seal, add_blob: Callable[[StreamCommit], None] | None = None) -> None:
        self.start = at
        self._add_blob = add_blob
        self._lock = threading.Lock()
        self._adding: Generation = {}
        self._flushing: Generation = {}
        self._at = at

    def add(self, batch: Sequence[StreamCommit], at: Seal) -> None:
        """Count a durable record in; the log stands `at` it."""
        with self._lock:
            if core is not None:
                core.extend_known(self._adding, batch, self._add)
            else:
                for commit in batch:
                    self._add(commit)
            self._at = at

    def _add(self, commit: StreamCommit) -> None:
        if commit.kind is CommitKind.BLOB:
            assert self._add_blob is not None, "this backlog is of a store without blobs"
            self._add_blob(commit)
            return
        stream = self._adding.get(commit.key)
        if stream is None:
            stream = self._adding[commit.key] = Unflushed(commit)
        stream.add(commit)

    def take(self) -> tuple[Generation, Seal]:
        """Everything added so far, now being flushed, and where the log stood after it."""
        with self._lock:
            assert not self._flushing, "a flush is under way"
            self._flushing, self._adding = self._adding, {}
            return self._flushing, self._at

    def flushed(self) -> None:
        """The files hold what was taken."""
        self._flushing = {}

    def put_back(self) -> None:
        """What was taken on open could not be flushed; nobody has added anything since."""
        with self._lock:
            assert not self._adding, "events were added during recovery"
            self._adding, self._flushing = self._flushing, {}

    def parts(self, key: str) -> list[Unflushed]:
        """What is unflushed of a stream, oldest first. Read this before the files."""
        newer = self._adding.get(key)
        older = self._flushing.get(key)
        if older is None or older is newer:  # the same when a flush began between the two lines
            return [newer] if newer is not None else []
        return [older, newer] if newer is not None else [older]

    def unflushed_keys(self) -> set[str]:
        """Of every stream with something unflushed. Look here before the files."""
        with self._lock:
            return {*self._adding, *self._flushing}

    def unflushed(self) -> list[tuple[str, Unflushed]]:
        """What recovery has put in, before anything was flushed."""
        return list(self._adding.items())

    def __len__(self) -> int:
        return len(self._adding) + len(self._flushing)
