"""JournalHost: the actors of all journals of one kind of store, on one open backend.

Job: bring a journal's state into memory, let a caller decide on it, make what was decided durable,
answer. The backend, its commit log and its writer are the streams' own: one write and one sync for
everything that waits, of every kind.
Rules:
- A decision is made in one go: nothing awaits between looking at the state and changing it.
- The output gate: no answer, not even to a question, before everything the state holds is durable.
  So nobody acts on what a crash may take back, and commits of one journal still share a sync.
- When the backend fails or refuses, every actor is forgotten, and its journal is read again.
- A journal of which most records are superseded is written anew (journal_anew.py).
Source: DESIGN decisions 3 to 5.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from anyio import TASK_STATUS_IGNORED, create_task_group
from anyio.abc import TaskStatus

from eventspine.actors.fence import refuse_moved
from eventspine.actors.host import StreamHost
from eventspine.actors.journal import BlobCommit, JournalActor, JournalCommit, Origin, lines_of
from eventspine.actors.journal_anew import Anew
from eventspine.actors.journal_reading import JournalReader
from eventspine.contracts.journal import Decide, Decision, State
from eventspine.contracts.stores import StreamCommit
from eventspine.runtime.directory import Directory
from eventspine.runtime.limits import DirectoryLimits
from eventspine.runtime.ticket import Ticket

S = TypeVar("S", bound=State[Any])
A = TypeVar("A")


class JournalHost(Generic[S]):
    """Args: host: the open backend. make_state: an empty state of this kind."""

    def __init__(self, host: StreamHost, kind: str, make_state: Callable[[], S]) -> None:
        self.kind = kind
        self._host = host
        self._reader = JournalReader(make_state)
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
        self.anew = Anew(host, self.directory)
        host.journals[kind] = self

    async def ask(
        self, origin: Origin, decide: Decide[S, A], blob: StreamCommit | None = None
    ) -> A:
        """Decide on a journal's state, and answer when all that the answer may tell is durable.

        Args:
            blob: bytes that the records name, if there are any: durable with them.

        Raises:
            Whatever `decide` raises; then nothing has changed.
            TooLarge: a record is larger than `event_bytes_max`.
            Overloaded, StoreUnavailable, Draining: nothing was stored.
            OutcomeUnknown: it may be stored or not.
        """
        actor = self.directory.live(origin.key)
        if actor is None:
            self._host.admit()
            turn = self._turn(origin, decide, blob)
            answer, gate = await self.directory.turn(origin.key, turn)
        else:
            answer, gate = self._decided(actor, origin, decide, blob)
        if gate is not None:
            await gate
        return answer

    # --- one decision ---

    def _turn(
        self, origin: Origin, decide: Decide[S, A], blob: StreamCommit | None
    ) -> Callable[[JournalActor[S]], Awaitable[tuple[A, Ticket[None] | None]]]:
        """The same in a turn, which ends before the disk is waited for."""

        async def turn(actor: JournalActor[S]) -> tuple[A, Ticket[None] | None]:
            return self._decided(actor, origin, decide, blob)

        return turn

    def _decided(
        self,
        actor: JournalActor[S],
        origin: Origin,
        decide: Decide[S, A],
        blob: StreamCommit | None,
    ) -> tuple[A, Ticket[None] | None]:
        """From looking at the state to changing it: nothing awaits in here.

        Answers, too, what to wait for until all that is decided by now is durable; None: it is.
        """
        refuse_moved(self._host.fences, origin.key, origin.mode)
        actor.check_mode(origin.mode)
        decision = decide(actor.state)
        if decision.records:
            self._record(actor, origin, decision, blob)
        if not actor.pending:
            return decision.answer, None
        ticket: Ticket[None] = self._host.new_ticket()
        actor.pending[-1].waiting.append(ticket)
        return decision.answer, ticket

    def _record(
        self,
        actor: JournalActor[S],
        origin: Origin,
        decision: Decision[Any],
        blob: StreamCommit | None,
    ) -> None:
        first = actor.sequence + 1
        bytes_max = self._host.limits.event_bytes_max
        lines = lines_of(decision.records, origin, actor.epoch, first, bytes_max)
        commit = JournalCommit(actor, actor.epoch, first, lines, origin.mode)
        writer = self._host.open_writer()
        if blob is None:
            writer.submit(commit)
        else:
            writer.submit_all([BlobCommit(blob), commit])
        actor.pending.append(commit)  # only what the writer has taken counts
        actor.mode = origin.mode
        actor.state.apply_all(decision.records, first)
        actor.sequence += len(lines)
        if actor.since is not None:
            actor.since += decision.records
        self.anew.look(actor, origin)

    async def _activate(self, key: str) -> JournalActor[S]:
        store = self._host.open_store()
        head = await store.head(key)
        state, base = await self._reader.read(store, key, head)
        return JournalActor(key, head, state, base)


async def passivate_idle(
    hosts: Sequence[JournalHost[Any]], *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
) -> None:
    """A service for the supervisor: idle journals rest, of every kind, and large ones of which most
    is superseded are written anew. Runs until cancelled.
    """
    async with create_task_group() as tasks:
        for host in hosts:
            await tasks.start(host.directory.passivate_idle)
            await tasks.start(host.anew.serve)
        task_status.started()
