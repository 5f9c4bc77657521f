"""JournalActor: the owner of one journal: its state, its numbers, what is on its way to the disk.

Rules: `sequence` is what is decided and what the state has taken; nothing is answered from it
before the last of it is durable (journal_host.py). After an error the actor is gone: its directory
has forgotten it, and the next one reads the journal again.
Source: DESIGN decisions 3 and 5; CARD-04.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from eventspine.contracts.errors import ScopeMismatch
from eventspine.contracts.journal import State
from eventspine.contracts.stores import CommitKind, StreamCommit, StreamHead
from eventspine.runtime.ticket import Ticket

S = TypeVar("S", bound=State[Any])


class Origin(NamedTuple):
    """Whose a journal is: what each of its lines says of that."""

    key: str
    mode: str
    members: bytes  # `"stream_id":…,"routing":{…}`


class JournalCommit(StreamCommit):
    """Records on their way to the disk, and who waits for them."""

    __slots__ = ("actor", "size", "waiting")

    def __init__(
        self,
        actor: JournalActor[Any],
        epoch: int,
        first_sequence: int,
        lines: Sequence[bytes],
        mode: str,
        kind: CommitKind = CommitKind.EVENTS,
    ) -> None:
        super().__init__(actor.key, mode, epoch, first_sequence, lines, kind)
        self.actor = actor
        self.size = sum(map(len, lines))
        self.waiting: list[Ticket[None]] = []

    def settle(self, error: BaseException | None) -> None:
        """Called once, on the loop, when the writer is done with this commit."""
        self.actor.pending.popleft()
        for ticket in self.waiting:
            if ticket.done():
                continue
            if error is None:
                ticket.set_result(None)
            else:
                ticket.set_exception(error)


class JournalActor(Generic[S]):
    __slots__ = ("compact_at", "epoch", "key", "mode", "pending", "sequence", "state")

    def __init__(self, key: str, head: StreamHead, state: S) -> None:
        self.key = key
        self.epoch = head.epoch
        self.sequence = head.sequence
        self.mode = head.mode
        self.state = state
        self.pending: deque[JournalCommit] = deque()
        self.compact_at = 0

    def may_rest(self) -> bool:
        """Whether the cell can be passivated now: nothing is under way."""
        return not self.pending

    def check_mode(self, mode: str) -> None:
        """Every record carries its routing, and who asks is checked against it (D15)."""
        if self.mode is not None and self.mode != mode:
            raise ScopeMismatch(
                f"this was written in mode {self.mode}",
                field="mode",
                stated=mode,
                expected=self.mode,
            )
