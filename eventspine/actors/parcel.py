"""Parcels: commits on their way from a backend to the one that follows it.

Job: what the source settled in one go is submitted to the target in one go, so that parts of a
commit that belong together (a journal written anew) stay so, and is answered once, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from eventspine.contracts.stores import CommitKind, EventStreamStore, StreamCommit, StreamHead
from eventspine.runtime.writer import Writer

Settle = Callable[[Sequence[Any]], object]


class Mirrored(Protocol):
    """A durable commit of the source: Commit, JournalCommit."""

    key: str
    mode: str
    epoch: int
    first_sequence: int
    lines: Sequence[bytes]
    kind: CommitKind
    size: int


class Side(Protocol):
    """One of the two backends: a StreamHost."""

    name: str
    store: EventStreamStore | None
    writer: Writer[Any] | None
    settle: Settle

    def open_store(self) -> EventStreamStore: ...
    def open_writer(self, key: str = "") -> Writer[Any]: ...


class Parcel:
    """Args: held_by: the writer at which its bytes count as waiting until it is answered."""

    __slots__ = ("_arrived", "_commits", "_failed", "_held_by", "_left", "_settle", "size")

    def __init__(
        self,
        commits: Sequence[Mirrored],
        settle: Settle,
        held_by: Writer[Any],
        arrived: Callable[[Parcel], object],
        failed: Callable[[BaseException], object],
    ) -> None:
        self._commits, self._settle, self._held_by = commits, settle, held_by
        self._arrived, self._failed = arrived, failed
        self._left = len(commits)
        self.size = sum([commit.size for commit in commits])
        held_by.hold(self.size)

    @property
    def keys(self) -> list[str]:
        return [commit.key for commit in self._commits]

    def copies(self) -> list[Any]:
        """What the target commits."""
        return [_Copy(commit, self) for commit in self._commits]

    def answer(self) -> None:
        """Settle the commits at the source. Called once."""
        self._held_by.release(self.size)
        self._settle(self._commits)

    def one_settled(self, error: BaseException | None) -> None:
        self._left -= 1
        if error is not None:
            self._failed(error)
        elif self._left == 0:
            self._arrived(self)


class _Copy(StreamCommit):
    __slots__ = ("parcel", "size")

    def __init__(self, of: Mirrored, parcel: Parcel) -> None:
        super().__init__(of.key, of.mode, of.epoch, of.first_sequence, of.lines, of.kind)
        self.size = of.size
        self.parcel = parcel

    def settle(self, error: BaseException | None) -> None:
        self.parcel.one_settled(error)


def is_beyond(commit: Mirrored, head: StreamHead) -> bool:
    """Whether a commit came after its stream stood at `head`."""
    if commit.epoch != head.epoch:
        return commit.epoch > head.epoch
    if commit.kind is CommitKind.EVENTS:
        return commit.first_sequence > head.sequence
    return commit.kind is CommitKind.DELETE or not head.closed
