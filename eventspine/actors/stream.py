"""StreamActor: the one owner of a stream. It numbers events, knows the head, wakes the readers.

Job: the state of a cell. Between two turns it holds a few integers; an Audience only while
somebody reads live, an id index only while somebody appends with own ids.
Rules:
- `sequence` is what is decided, `committed` what is durable. Readers see up to `committed`.
- Changes are Commits, queued in order in `pending` and settled by the writer in that order.
- After an error the actor is dead (`gone`): the directory has forgotten it, its readers move on.
Source: DESIGN decisions 3, 5, 7, 9; CARD-04.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eventspine.actors.append import Position
from eventspine.actors.audience import Audience, Later, Reader
from eventspine.contracts.answers import Appended, EndReason
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import ScopeMismatch
from eventspine.contracts.stores import CommitKind, EventIds, StreamCommit, StreamHead
from eventspine.runtime.ticket import Ticket

EVENTS = CommitKind.EVENTS


class Commit(StreamCommit):
    """A change on its way to the disk, and who waits for it."""

    __slots__ = ("actor", "last", "size", "ticket", "waiting")

    def __init__(
        self,
        actor: StreamActor,
        first_sequence: int,
        lines: Sequence[bytes],
        ticket: Ticket[None],
        kind: CommitKind = EVENTS,
        mode: str = "",
    ) -> None:
        self.key = actor.key
        self.mode = actor.mode or mode
        self.epoch = actor.epoch
        self.first_sequence = first_sequence
        self.lines = lines
        self.kind = kind
        self.actor = actor
        self.last = first_sequence + len(lines) - 1
        self.size = len(lines[0]) if len(lines) == 1 else sum(map(len, lines))
        self.ticket = ticket
        self.waiting: list[Ticket[None]] | None = None

    @property
    def head(self) -> Cursor:
        """Where the stream stands for whoever waited for this commit, once it is durable."""
        return Cursor(self.epoch, max(self.last, self.actor.committed))

    def appended(self) -> Appended:
        """The answer to whoever appended its one event, once it is durable."""
        return Appended(self.lines, (self.last,), self.head)

    def settle(self, error: BaseException | None) -> None:
        """Called once, on the loop, when the writer is done with this commit."""
        self.actor.settled(self, error)
        if error is None and self.waiting is None:
            if not self.ticket.done():
                self.ticket.set_result(None)
            return
        for each in (self.ticket, *(self.waiting or ())):
            self._answer(each, error)

    def also_tell(self, ticket: Ticket[None]) -> None:
        """Settle this ticket too."""
        self.waiting = [*(self.waiting or ()), ticket]

    @staticmethod
    def _answer(ticket: Ticket[None], error: BaseException | None) -> None:
        if ticket.done():
            return
        if error is None:
            ticket.set_result(None)
        else:
            ticket.set_exception(error)


class StreamActor:
    __slots__ = (
        "audience",
        "closed",
        "committed",
        "epoch",
        "gone",
        "ids",
        "key",
        "mode",
        "pending",
        "sequence",
    )

    def __init__(self, key: str, head: StreamHead) -> None:
        self.key = key
        self.epoch = head.epoch
        self.sequence = self.committed = head.sequence
        self.closed = head.closed
        self.mode = head.mode
        self.gone: EndReason | None = None
        self.ids: EventIds | None = None
        self.pending: list[Commit] | None = None
        self.audience: Audience | None = None

    # --- what it stands at ---

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.sequence, self.closed, self.mode)

    @property
    def head(self) -> Cursor:
        return Cursor(self.epoch, self.committed)

    @property
    def earliest(self) -> Cursor:
        return Cursor(self.epoch, 0)

    def may_rest(self) -> bool:
        """Whether the cell can be passivated now: nothing under way, nobody listening."""
        return not self.pending and self.audience is None

    # --- appends ---

    def commit_of(self, lines: Sequence[bytes], mode: str, ticket: Ticket[None]) -> Commit:
        """A commit of new lines. The actor stands where it stood: see `accept`."""
        return Commit(self, self.sequence + 1, lines, ticket, mode=mode)

    def accept(self, commit: Commit, new_ids: Mapping[str, int] = {}) -> None:
        """The writer has taken the commit: from now on it counts."""
        if self.pending is None:
            self.pending = [commit]  # nearly always the only one, so no deque
        else:
            self.pending.append(commit)
        self.sequence = commit.last
        if self.mode is None:
            self.mode = commit.mode or None
        if new_ids and self.ids is not None:
            for event_id, sequence in new_ids.items():
                self.ids.add(event_id, sequence)

    def settled(self, commit: Commit, error: BaseException | None) -> None:
        """The fate of the oldest pending commit."""
        pending = self.pending
        if pending and pending[0] is commit:
            if len(pending) == 1:
                self.pending = None
            else:
                del pending[0]
        if error is not None:
            return
        if commit.kind is not EVENTS:
            self._apply(commit)
            self.wake_readers()
        else:
            self.committed = commit.last
            if self.audience is not None:
                self.audience.tell(commit.lines, commit.first_sequence)
            if self.ids is not None:
                self.ids.committed(commit.last)

    def _apply(self, commit: Commit) -> None:
        if commit.kind is CommitKind.CLOSE:
            self.closed = True
            return
        self.epoch += 1
        self.sequence = self.committed = 0
        self.closed = False
        self.mode = None
        if self.audience is not None:
            self.audience.forget(self.epoch)
        if self.ids is not None:
            self.ids.close()
            self.ids = None

    def pending_line(self, sequence: int) -> tuple[bytes, Commit] | None:
        """A decided line that is not durable yet, with the commit that carries it."""
        for commit in self.pending or ():
            if commit.first_sequence <= sequence <= commit.last:
                return commit.lines[sequence - commit.first_sequence], commit
        return None

    # --- readers ---

    def join(self, reader: Reader, later: Later) -> None:
        if self.audience is None:
            self.audience = Audience(self.epoch, later)
        self.audience.join(reader)

    def leave(self, reader: Reader) -> None:
        if self.audience is not None:
            self.audience.leave(reader)
            if not self.audience:
                self.audience = None

    def wake_readers(self) -> None:
        if self.audience is not None:
            self.audience.wake()

    def abandon(self, reason: EndReason) -> None:
        """The cell is forgotten: readers find its successor, or end."""
        self.gone = self.gone or reason
        if self.ids is not None:
            self.ids.close()
            self.ids = None
        self.wake_readers()


def check_mode(actor: StreamActor, mode: str) -> None:
    """Every record carries its routing, and reads check it (D15). Raises ScopeMismatch."""
    if actor.mode is not None and actor.mode != mode:
        raise ScopeMismatch(
            f"the stream was written in mode {actor.mode}",
            field="mode",
            stated=mode,
            expected=actor.mode,
        )
