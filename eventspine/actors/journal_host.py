"""JournalHost: the actors of all journals of one kind of store, on one open backend.

Job: bring a journal's state into memory, let a caller decide on it, make what was decided durable,
answer. The backend, its commit log and its writer are the streams' own: one write and one sync for
everything that waits, of every kind.
Rules:
- A decision is made in one go: nothing awaits between looking at the state and changing it.
- The output gate: no answer, not even to a question, before everything the state holds is durable.
  So nobody acts on what a crash may take back, and commits of one journal still share a sync.
- When the backend fails or refuses, every actor is forgotten, and its journal is read again.
- A journal of which most records are superseded is written anew, in one commit of two parts: the
  old records end and the new ones begin, or neither. One whose state is larger than
  `compaction_bytes_max` is left as it is.
Source: DESIGN decisions 3 to 5.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from anyio import TASK_STATUS_IGNORED, create_task_group
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from eventspine.actors.host import StreamHost
from eventspine.actors.journal import JournalActor, JournalCommit, Origin
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import StoreCorrupt, TooLarge
from eventspine.contracts.journal import Decide, Decision, State
from eventspine.contracts.stores import CommitKind
from eventspine.runtime.directory import Directory
from eventspine.runtime.limits import DirectoryLimits
from eventspine.runtime.ticket import Ticket

log = logging.getLogger(__name__)
S = TypeVar("S", bound=State[Any])
A = TypeVar("A")
READ_RECORDS = 4096
READ_BYTES = 1024 * 1024
COMPACT_RECORDS_MIN = 1000  # a journal shorter than this is not worth writing anew
COMPACT_SHARE = 2  # more than so many records for each that counts

_encode = msgspec.json.Encoder().encode


class JournalHost(Generic[S]):
    """Args: host: the open backend. make_state: an empty state of this kind."""

    def __init__(self, host: StreamHost, kind: str, make_state: Callable[[], S]) -> None:
        self.kind = kind
        self._host = host
        self._make_state = make_state
        self._decode = msgspec.json.Decoder(make_state().record).decode
        limits = host.limits
        self.directory: Directory[JournalActor[S]] = Directory(
            f"{kind} of {host.name}",
            self._activate,
            may_passivate=JournalActor.may_rest,
            limits=DirectoryLimits(
                waiters_max=limits.turn_waiters_max,
                turn_wait_s=limits.turn_wait_s_max,
                idle_s_max=limits.cell_idle_s_max,
                cells_max=limits.cells_max,
            ),
        )
        host.journals[kind] = self

    async def ask(self, origin: Origin, decide: Decide[S, A]) -> A:
        """Decide on a journal's state, and answer when all that the answer may tell is durable.

        Raises:
            Whatever `decide` raises; then nothing has changed.
            TooLarge: a record is larger than `event_bytes_max`.
            Overloaded, StoreUnavailable, Draining: nothing was stored.
            OutcomeUnknown: it may be stored or not.
        """
        actor = self.directory.live(origin.key)
        if actor is None:
            return await (await self.directory.turn(origin.key, self._turn(origin, decide)))()
        return await self._decided(actor, origin, decide)()

    # --- one decision ---

    def _turn(
        self, origin: Origin, decide: Decide[S, A]
    ) -> Callable[[JournalActor[S]], Awaitable[Callable[[], Awaitable[A]]]]:
        """The same in a turn, which ends before the disk is waited for."""

        async def turn(actor: JournalActor[S]) -> Callable[[], Awaitable[A]]:
            return self._decided(actor, origin, decide)

        return turn

    def _decided(
        self, actor: JournalActor[S], origin: Origin, decide: Decide[S, A]
    ) -> Callable[[], Awaitable[A]]:
        """From looking at the state to changing it: nothing awaits in here."""
        actor.check_mode(origin.mode)
        decision = decide(actor.state)
        if decision.records:
            self._record(actor, origin, decision)
        gate = self._gate(actor)

        async def answer() -> A:
            await gate()
            return decision.answer

        return answer

    def _record(self, actor: JournalActor[S], origin: Origin, decision: Decision[Any]) -> None:
        first = actor.sequence + 1
        lines = self._lines(decision.records, origin, actor.epoch, first)
        commit = JournalCommit(actor, actor.epoch, first, lines, origin.mode)
        self._host.open_writer().submit(commit)
        actor.pending.append(commit)  # only what the writer has taken counts
        actor.mode = origin.mode
        for sequence, record in enumerate(decision.records, first):
            actor.state.apply(record, sequence)
        actor.sequence += len(lines)
        self._compact(actor, origin)

    def _lines(
        self, records: Sequence[msgspec.Struct], origin: Origin, epoch: int, first: int
    ) -> list[bytes]:
        lines, bytes_max = [], self._host.limits.event_bytes_max
        for sequence, record in enumerate(records, first):
            line = b'%b,%b,"sequence":%d,"cursor":"%b"}' % (
                _encode(record)[:-1],
                origin.members,
                sequence,
                str(Cursor(epoch, sequence)).encode(),
            )
            if len(line) > bytes_max:
                raise TooLarge(
                    f"{len(line)} bytes as stored", limit="event_bytes_max", maximum=bytes_max
                )
            lines.append(line)
        return lines

    def _gate(self, actor: JournalActor[S]) -> Callable[[], Awaitable[None]]:
        """What waits until all that is decided by now is durable."""
        if not actor.pending:
            return _open_gate
        ticket: Ticket[None] = self._host.new_ticket()
        actor.pending[-1].waiting.append(ticket)

        async def wait() -> None:
            await ticket

        return wait

    # --- the journal as a whole ---

    def _compact(self, actor: JournalActor[S], origin: Origin) -> None:
        """Write the journal anew if that is worth it; what is decided stays as it is."""
        live = actor.state.live
        if live is None or actor.sequence < max(
            COMPACT_RECORDS_MIN, COMPACT_SHARE * live, actor.compact_at
        ):
            return
        actor.compact_at = 2 * actor.sequence  # not tried again soon if it cannot be done now
        lines = self._snapshot(actor, origin)
        if lines is None:
            log.warning("%s: what counts is too much to be written anew", actor.key)
            return
        end = JournalCommit(
            actor, actor.epoch, actor.sequence + 1, [], origin.mode, CommitKind.DELETE
        )
        new = JournalCommit(actor, actor.epoch + 1, 1, lines, origin.mode)
        if not self._host.open_writer().submit_together([end, new] if lines else [end]):
            return
        actor.pending += [end, new] if lines else [end]
        actor.epoch, actor.sequence, actor.compact_at = actor.epoch + 1, len(lines), 0
        actor.mode = origin.mode if lines else None

    def _snapshot(self, actor: JournalActor[S], origin: Origin) -> list[bytes] | None:
        """The lines of the journal written anew; None as soon as they are too many bytes."""
        lines: list[bytes] = []
        room = self._host.limits.compaction_bytes_max
        try:
            for record in actor.state.snapshot():
                lines += self._lines([record], origin, actor.epoch + 1, len(lines) + 1)
                room -= len(lines[-1])
                if room < 0:
                    return None
        except TooLarge:  # `event_bytes_max` has become less since it was written
            return None
        return lines

    async def _activate(self, key: str) -> JournalActor[S]:
        store = self._host.open_store()
        head = await store.head(key)
        state, at = self._make_state(), 0
        while at < head.sequence:
            lines = await store.read(key, at + 1, READ_RECORDS, READ_BYTES)
            if not lines:
                raise StoreCorrupt(f"{key}: record {at + 1} is missing", path=key, found="a gap")
            for line in lines:
                at += 1
                state.apply(self._decode(line), at)
            await checkpoint()
        return JournalActor(key, head, state)


async def passivate_idle(
    hosts: Sequence[JournalHost[Any]], *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
) -> None:
    """A service for the supervisor: idle journals rest, of every kind. Runs until cancelled."""
    async with create_task_group() as tasks:
        for host in hosts:
            await tasks.start(host.directory.passivate_idle)
        task_status.started()


async def _open_gate() -> None:
    return None
