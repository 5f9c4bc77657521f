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

import msgspec

from eventspine.contracts.errors import ScopeMismatch, TooLarge
from eventspine.contracts.journal import State
from eventspine.contracts.stores import CommitKind, StreamCommit, StreamHead
from eventspine.runtime.ticket import Ticket

S = TypeVar("S", bound=State[Any])

_encode = msgspec.json.Encoder().encode
LINE = b'%b,%b,"sequence":%d,"cursor":"%016d_%016d"}'
"""A record without its brace, whose it is, sequence; epoch and sequence: contracts/cursor.py."""


class Origin(NamedTuple):
    """Whose a journal is: what each of its lines says of that."""

    key: str
    mode: str
    members: bytes  # `"stream_id":…,"routing":{…}`


def lines_of(
    records: Sequence[msgspec.Struct], origin: Origin, epoch: int, first: int, bytes_max: int
) -> list[bytes]:
    """Records as lines of a stream. Raises TooLarge."""
    lines = []
    for sequence, record in enumerate(records, first):
        line = LINE % (_encode(record)[:-1], origin.members, sequence, epoch, sequence)
        if len(line) > bytes_max:
            raise TooLarge(
                f"{len(line)} bytes as stored", limit="event_bytes_max", maximum=bytes_max
            )
        lines.append(line)
    return lines


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


class BesideCommit(StreamCommit):
    """Records beside a journal on their way to the disk, and who waits for them."""

    __slots__ = ("size", "ticket")

    def __init__(
        self,
        key: str,
        mode: str,
        epoch: int,
        first_sequence: int,
        lines: Sequence[bytes],
        kind: CommitKind,
    ) -> None:
        super().__init__(key, mode, epoch, first_sequence, lines, kind)
        self.size = sum(map(len, lines))
        self.ticket: Ticket[None] | None = None

    def settle(self, error: BaseException | None) -> None:
        """Called once, on the loop, when the writer is done with this commit."""
        if self.ticket is None or self.ticket.done():
            return
        if error is None:
            self.ticket.set_result(None)
        else:
            self.ticket.set_exception(error)


class BlobCommit(StreamCommit):
    """Bytes on their way to the disk; nobody waits for them, but for the records behind them."""

    __slots__ = ("size",)

    def __init__(self, blob: StreamCommit) -> None:
        one = blob
        super().__init__(one.key, one.mode, one.epoch, one.first_sequence, one.lines, one.kind)
        self.size = sum(map(len, one.lines))

    def settle(self, error: BaseException | None) -> None:
        """Called once, on the loop, when the writer is done with this commit."""


class Beside(msgspec.Struct, omit_defaults=True):
    """The first record of a journal that goes on from records beside it: journal_anew.py."""

    beside: str = ""
    records: int = 0
    epoch: int = 0


class Base(NamedTuple):
    """The records beside a journal: the stream they are in."""

    key: str
    epoch: int
    records: int


class JournalActor(Generic[S]):
    """`base`: what is beside the journal. `since`: what was decided since that is being made.

    `look_at`: with so many records it is asked whether writing it anew is worth it.
    """

    __slots__ = (
        *("base", "epoch", "key", "look_at", "mode", "pending", "sequence", "since"),
        "state",
    )

    def __init__(self, key: str, head: StreamHead, state: S, base: Base | None = None) -> None:
        self.key = key
        self.epoch = head.epoch
        self.sequence = head.sequence
        self.mode = head.mode
        self.state = state
        self.pending: deque[JournalCommit] = deque()
        self.look_at = 0
        self.base = base
        self.since: list[msgspec.Struct] | None = None

    @property
    def records(self) -> int:
        """How many there are, beside the journal too."""
        return self.sequence + (0 if self.base is None else self.base.records)

    def may_rest(self) -> bool:
        """Whether the cell can be passivated now: nothing is under way."""
        return not self.pending and self.since is None

    def check_mode(self, mode: str) -> None:
        """Every record carries its routing, and who asks is checked against it (D15)."""
        if self.mode is not None and self.mode != mode:
            raise ScopeMismatch(
                f"this was written in mode {self.mode}",
                field="mode",
                stated=mode,
                expected=self.mode,
            )
