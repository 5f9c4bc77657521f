"""StreamHost: the actors of all streams of one open backend, with its store and its writer.

Job: run turns on StreamActors, hand their commits to the writer, answer when they are durable.
Rules:
- An append on an active, idle actor is decided right in the caller's task, without a lock: nothing
  awaits between reading and assigning a sequence number.
- What needs to await first (activation, looking up event ids) takes an exclusive turn, which ends
  before the disk is waited for: appends of one stream share commits.
- When the backend fails, every actor is forgotten; readers wait for their successors.
- While its circuit is not closed, what would write, or fetch an actor, is refused at once.
Source: DESIGN decisions 3 to 9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventspine.actors.append import NOTHING, Decision, Known, Stamp, decide, line_of
from eventspine.actors.audience import Later, Reader
from eventspine.actors.backend_health import BackendHealth
from eventspine.actors.compiled import short_way
from eventspine.actors.fence import Fence, moved_to, refuse_moved
from eventspine.actors.journal import BesideCommit, BlobCommit, JournalCommit
from eventspine.actors.lookup import known_events, needs_lookup
from eventspine.actors.mirror import Mirror
from eventspine.actors.parcel import Settle
from eventspine.actors.stream import Commit, StreamActor, check_mode
from eventspine.actors.told import Done, Told
from eventspine.actors.view import HostView
from eventspine.contracts.answers import Appended, Head
from eventspine.contracts.blobs import BlobStore
from eventspine.contracts.circuit import CircuitState
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import Draining, StoreUnavailable, StreamNotFound
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import RouteKey
from eventspine.contracts.secrets import Secret
from eventspine.contracts.stores import CommitKind, EventStreamStore
from eventspine.contracts.threads import THREADS, Threads
from eventspine.contracts.wire import Draft, Instant
from eventspine.runtime.clock import loop_clock
from eventspine.runtime.directory import Directory
from eventspine.runtime.limits import DirectoryLimits
from eventspine.runtime.permits import Permits
from eventspine.runtime.ticket import Ticket, later_caller, ticket_factory
from eventspine.runtime.writer import Writer

HEARTBEAT_SLICES = 8
CATCHING_UP_AT_ONCE = 8  # slices that readers who are behind take in one pass of the loop
PROBE_KEYS = "event_stream/eventspine-probe/"  # the sentinel's, which no circuit refuses


class Request(NamedTuple):
    """One append, as its turn sees it."""

    drafts: Sequence[Draft]
    stamp: Stamp
    now: Instant
    address: bytes
    expected: Cursor | None


class StreamHost:
    """Owner of every StreamActor of one backend. `serve` opens it and opens it again."""

    def __init__(
        self, name: str, limits: Limits, threads: Threads = THREADS, *, native: bool = True
    ) -> None:
        self.name = name
        self.limits = limits
        self._threads = threads
        self.store: EventStreamStore | None = None
        self.writer: Writer[Commit | JournalCommit | BesideCommit | BlobCommit] | None = None
        self._native = native
        self.short: Any = None  # the compiled way of a plain append, while there is one
        self.new_ticket: Callable[[], Ticket[Any]] = ticket_factory()
        self.later: Later = later_caller()
        self.draining = False
        self.readers: set[Reader] = set()
        self.long_polls = 0
        self.catching_up = Permits(CATCHING_UP_AT_ONCE)
        self.outage = "not open yet"
        self.health = BackendHealth(name, loop_clock())
        self.health.listeners.append(self._circuit_changed)
        self._compiled: Any = None
        self.forgotten = 0  # how often every actor was: what is known of them is not any more
        self.blobs: BlobStore | None = None  # where this backend keeps bytes of objects
        self.upload_keys: dict[RouteKey, Secret] = {}  # of routes that name one, by their key
        self.journals: dict[str, Any] = {}  # a JournalHost for each journaled kind
        self.fences: tuple[Fence, ...] = ()  # what has moved away from here, or is about to
        self.mirrors: tuple[Mirror, ...] = ()  # what is written to another backend too
        self.settle: Settle = _settle_each
        self.directory: Directory[StreamActor] = Directory(
            name,
            self._activate,
            may_passivate=StreamActor.may_rest,
            on_passivate=_abandon,
            on_reset=_abandon,
            limits=DirectoryLimits(
                waiters_max=limits.turn_waiters_max,
                turn_wait_s=limits.turn_wait_s_max,
                idle_s_max=limits.cell_idle_s_max,
                cells_max=limits.cells_max,
            ),
        )

    # --- the backend comes and goes ---

    async def serve(
        self, store: EventStreamStore, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        """Own `store` until cancelled. Raises what its writer failed with."""
        self.writer = Writer(
            store.commit,
            name=self.name,
            bytes_waiting_max=self.limits.commit_bytes_waiting_max,
            on_refused=self._forget,
            threads=self._threads,
            express=store.express,
        )
        if self._native and not self.draining:
            self._compiled = short_way(self.directory, self.writer, self.new_ticket, self.limits)
            self.short = self._compiled
        self.settle = self.short.settle if self.short else _settle_each
        self.mirror_into(*self.mirrors)
        for mirror in self.mirrors:
            mirror.source_opened()
        self.store, self.outage = store, ""
        self.health.opened()
        try:
            await self.writer.run(task_status=task_status)
        except Exception as error:
            self.outage = f"{type(error).__name__}: {error}"
            self.health.failed(error, gone=True)
            raise
        finally:
            self.store = self.short = self._compiled = None
            if self.outage:
                self._forget(self.outage)

    # --- a switch of a route ---

    def mirror_into(self, *mirrors: Mirror) -> None:
        """From now on what is durable here goes through these before anybody is answered."""
        self.mirrors = mirrors
        if self.writer is not None:
            self.writer.settle_all = self._settle_mirrored if mirrors else self.settle

    def _settle_mirrored(
        self, batch: Sequence[Commit | JournalCommit | BesideCommit | BlobCommit]
    ) -> None:
        for mirror in self.mirrors:
            batch = mirror.take(batch)
        self.settle(batch)

    def successor(self, key: str, mode: str) -> HostView:
        """The host that a reader of this stream has to read from: this one, unless it moved."""
        return moved_to(self.fences, key, mode) or self

    def _forget(self, cause: BaseException | str) -> None:
        """What the actors stand at is not what the store has: all of them are read again."""
        self.forgotten += 1
        for directory in (self.directory, *(one.directory for one in self.journals.values())):
            directory.reset_all(cause)

    def _circuit_changed(self, health: BackendHealth, before: CircuitState) -> None:
        self.short = None if health.refuses or self.draining else self._compiled

    def drain(self) -> None:
        """Take nothing new and end every reader. What was accepted is still committed."""
        self.draining = True
        self.short = None
        for reader in tuple(self.readers):
            reader.wake()

    async def heartbeats(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Wake every waiting reader once per `heartbeat_s`, an eighth of them at a time."""
        task_status.started()
        turn = 0
        while True:
            await anyio.sleep(self.limits.heartbeat_s / HEARTBEAT_SLICES)
            turn = (turn + 1) % HEARTBEAT_SLICES
            for reader in tuple(self.readers):
                if id(reader) // 64 % HEARTBEAT_SLICES == turn:
                    reader.wake(False)

    def open_store(self) -> EventStreamStore:
        if self.store is None:
            raise self.health.unavailable(self.outage)
        return self.store

    def open_writer(
        self, key: str = ""
    ) -> Writer[Commit | JournalCommit | BesideCommit | BlobCommit]:
        if self.draining:
            raise Draining(f"{self.name} is stopping")
        if self.writer is None or self.store is None:
            raise self.health.unavailable(self.outage)
        if self.health.refuses:
            self.admit(key)
        return self.writer

    def admit(self, key: str = "") -> None:
        """Raise StoreUnavailable while the circuit is not closed; the sentinel passes."""
        if self.health.refuses and not key.startswith(PROBE_KEYS):
            raise self.health.refusal()

    async def _activate(self, key: str) -> StreamActor:
        self.admit(key)
        return StreamActor(key, await self.open_store().head(key))

    async def actor(self, key: str) -> StreamActor:
        """The active actor of a key, to read from it. Reading takes no turn."""
        actor = self.directory.peek(key)
        if actor is None:
            self.open_store()
            actor = await self.directory.turn(key, _itself)
        return actor

    # --- append ---

    async def append(self, key: str, request: Request) -> Appended:
        """Append drafts, all or none, and answer when they are durable."""
        live = self.directory.live(key)
        if live is None or needs_lookup(live, request.drafts):
            self.admit(key)  # not behind a turn that waits for a backend which does not answer
            actor, decision, commit = await self.directory.turn(
                key, lambda owner: self._in_turn(owner, request)
            )
        else:
            actor, (decision, commit) = live, self._decide(live, request, NOTHING)
        if commit is not None:
            await commit.ticket
            return _answer(decision, commit)
        await self._durable(actor, max(decision.sequences))
        return Appended(decision.answers, decision.sequences, actor.head, len(decision.answers))

    def append_soon(self, key: str, request: Request, done: Done) -> bool:
        """`append` for who has no task; see Spine.append_json_soon."""
        live = self.directory.live(key)
        if live is None or needs_lookup(live, request.drafts):
            return False
        told = Told(done)
        decision, commit = self._decide(live, request, NOTHING, told)
        assert commit is not None, "nothing is known, so something is new"
        told.answer = partial(_answer, decision, commit)
        return True

    def submit_plain(
        self,
        key: str,
        draft: Draft,
        stamp: Stamp,
        now: Instant,
        address: bytes,
        ticket: Ticket[None] | None = None,
    ) -> Commit | None:
        """What `append` does, for what most appends are: one new event with nothing to look up.

        Answers None when it is not: the actor is not active or in a turn, the stream is closed
        or of another mode. It asks no fence: a switch that puts one up has everybody forget that
        they know this way. Why twice: the general way costs twice as much (docs/PERFORMANCE.md).
        """
        actor = self.directory.live(key)
        if actor is None or actor.closed or (actor.mode != stamp.mode and actor.mode is not None):
            return None
        sequence = actor.sequence + 1
        line = line_of(
            actor.epoch, sequence, draft, stamp, now, address, self.limits.event_bytes_max
        )
        commit = Commit(actor, sequence, (line,), ticket or self.new_ticket(), mode=stamp.mode)
        self.open_writer().submit(commit)
        actor.accept(commit)
        return commit

    async def _in_turn(
        self, actor: StreamActor, request: Request
    ) -> tuple[StreamActor, Decision, Commit | None]:
        ids = [draft.event_id for draft in request.drafts if draft.event_id is not None]
        known = await known_events(self, actor, ids)
        refuse_moved(self.fences, actor.key, request.stamp.mode)
        if actor.gone is not None:  # what it stands at was refused while it was looking
            raise StoreUnavailable(f"{self.name}: the stream was read anew", retry_after_s=1)
        return actor, *self._decide(actor, request, known)

    def _decide(
        self,
        actor: StreamActor,
        request: Request,
        known: Known,
        ticket: Ticket[None] | None = None,
    ) -> tuple[Decision, Commit | None]:
        """From reading the position to taking the next numbers: nothing awaits in here."""
        refuse_moved(self.fences, actor.key, request.stamp.mode)
        decision = decide(
            actor.position,
            request.drafts,
            request.stamp,
            request.now,
            request.address,
            known=known,
            expected=request.expected,
            event_bytes_max=self.limits.event_bytes_max,
        )
        if not decision.lines:
            return decision, None
        commit = actor.commit_of(decision.lines, request.stamp.mode, ticket or self.new_ticket())
        self.open_writer(actor.key).submit(commit)
        actor.accept(commit, decision.new_ids)  # only what the writer has taken counts
        return decision, commit

    async def _durable(self, actor: StreamActor, sequence: int) -> None:
        """Wait until the event is durable: an answer for it must not come earlier."""
        found = actor.pending_line(sequence)
        if found is not None:
            ticket = self.new_ticket()
            found[1].also_tell(ticket)
            await ticket

    # --- close and delete ---

    async def close_stream(self, key: str, mode: str) -> Head:
        """End the stream for good; it stays readable. Closing again is no error."""

        async def turn(actor: StreamActor) -> Head:
            refuse_moved(self.fences, key, mode)
            _check_written(actor, mode)
            if not actor.closed:
                await self._change(actor, CommitKind.CLOSE)
            return Head(actor.head, actor.earliest, actor.closed)

        return await self.directory.turn(key, turn)

    async def delete_stream(self, key: str, mode: str) -> None:
        """Delete every event. The stream id is free again, in a new epoch."""

        async def turn(actor: StreamActor) -> None:
            refuse_moved(self.fences, key, mode)
            _check_written(actor, mode)
            await self._change(actor, CommitKind.DELETE)

        await self.directory.turn(key, turn)

    async def _change(self, actor: StreamActor, kind: CommitKind) -> None:
        """Commit a change that must not interleave with appends: the turn waits for the disk."""
        commit = Commit(actor, actor.sequence + 1, [], self.new_ticket(), kind)
        self.open_writer(actor.key).submit(commit)
        actor.accept(commit)
        with anyio.CancelScope(shield=True):
            await commit.ticket


def _settle_each(batch: Sequence[Commit | JournalCommit | BesideCommit | BlobCommit]) -> None:
    for commit in batch:
        commit.settle(None)


def _answer(decision: Decision, commit: Commit) -> Appended:
    duplicates = len(decision.answers) - len(decision.lines)
    return Appended(decision.answers, decision.sequences, commit.head, duplicates)


async def _itself(actor: StreamActor) -> StreamActor:
    return actor


def _abandon(key: str, actor: StreamActor) -> None:
    actor.abandon("reset")


def _check_written(actor: StreamActor, mode: str) -> None:
    check_mode(actor, mode)
    if actor.sequence == 0:
        raise StreamNotFound("nothing was ever written to this stream")
