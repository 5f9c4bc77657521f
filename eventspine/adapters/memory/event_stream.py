"""Event streams in memory, for experiments in lab: nothing survives the process (R-09)."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from eventspine.contracts.stores import (
    CommitKind,
    EventIds,
    EventStreamStore,
    StoreStatistics,
    StreamCommit,
    StreamHead,
)
from eventspine.contracts.wire import event_id_of


class _Stream:
    __slots__ = ("closed", "epoch", "lines", "mode")

    def __init__(self, epoch: int, mode: str | None) -> None:
        self.epoch = epoch
        self.mode = mode
        self.closed = False
        self.lines: list[bytes] = []


class _Ids(EventIds):
    def __init__(self, known: dict[str, int]) -> None:
        self._known = known

    def candidates(self, event_id: str) -> Sequence[int]:
        sequence = self._known.get(event_id)
        return () if sequence is None else (sequence,)

    def add(self, event_id: str, sequence: int) -> None:
        self._known[event_id] = sequence

    def committed(self, sequence: int) -> None:
        pass

    def close(self) -> None:
        self._known = {}


class MemoryEventStreamStore(EventStreamStore):
    """A dictionary of lists. A commit is atomic because it holds the lock."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self._lock = threading.Lock()
        self._commits = self._events = self._bytes = 0

    def commit(self, batch: Sequence[StreamCommit]) -> None:
        with self._lock:
            for commit in batch:
                self._apply(commit)
            self._commits += 1

    def _apply(self, commit: StreamCommit) -> None:
        stream = self._streams.get(commit.key)
        if stream is None:
            stream = self._streams[commit.key] = _Stream(commit.epoch, commit.mode)
        if commit.kind is CommitKind.CLOSE:
            stream.closed = True
        elif commit.kind is CommitKind.DELETE:
            self._streams[commit.key] = _Stream(commit.epoch + 1, None)
        else:
            stream.mode = stream.mode or commit.mode
            stream.lines.extend(commit.lines)
            self._events += len(commit.lines)
            self._bytes += sum(map(len, commit.lines))

    async def head(self, key: str) -> StreamHead:
        stream = self._streams.get(key)
        if stream is None:
            return StreamHead()
        return StreamHead(stream.epoch, len(stream.lines), stream.closed, stream.mode)

    async def read(self, key: str, first: int, count: int, bytes_max: int) -> list[bytes]:
        return self.read_nowait(key, first, count, bytes_max)

    def read_nowait(self, key: str, first: int, count: int, bytes_max: int) -> list[bytes]:
        stream = self._streams.get(key)
        lines = stream.lines[first - 1 : first - 1 + count] if stream else []
        room = bytes_max
        for n, line in enumerate(lines):
            room -= len(line)
            if room < 0 and n:
                return lines[:n]
        return lines

    async def ids(self, key: str) -> EventIds:
        stream = self._streams.get(key)
        lines = list(stream.lines) if stream else []
        return _Ids({event_id_of(line): n for n, line in enumerate(lines, 1)})

    async def keys(self, prefix: str) -> list[str]:
        with self._lock:
            return sorted([key for key in self._streams if key.startswith(prefix)])

    def close(self) -> None:
        """Nothing to do: the events go with the object."""

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(
            self._commits, self._events, self._bytes, {"streams": float(len(self._streams))}
        )
