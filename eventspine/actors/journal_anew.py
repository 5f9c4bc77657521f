"""Writing a journal anew when most of its records are superseded. It is never half of both.

Small, up to SMALL_RECORDS and `compaction_bytes_max`: one commit of two parts, the old records end
and the new ones begin.

Large: the records that count go beside the journal, into a stream of their own, `{name}~a` or
`{name}~b`, in many small commits while the journal is used. Then one commit of three parts ends the
journal, begins it with a record that says what is beside it, and ends what was beside it before:

    {"beside":"~a","records":1000000,"epoch":3,"stream_id":…,"routing":{…},"sequence":1,"cursor":…}

Rules:
- Until that commit nothing reads what is beside; after it, nothing reads what was. A crash before
  it leaves the journal as it was, and a rest beside it that the next attempt deletes first.
- What is beside is not of one moment: every record is of the moment it was copied at, and behind
  them stand all records decided since the copying began, in their order. A record says all there
  is to say of its name, so they add up to the state at the end (State.names).
- The last of those go behind the record that says what is beside, in the same commit.
Refused: one commit of any size, because everybody waits for it; copying the state of one moment,
because copying a dictionary of millions holds the loop; a new kind of commit that renames streams,
because it would be a second story of crashes in the log, the files and every backend.
Source: DESIGN decisions 3 and 5.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

import anyio
import msgspec
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventspine.actors.fence import refuse_moved
from eventspine.actors.host import StreamHost
from eventspine.actors.journal import (
    Base,
    Beside,
    BesideCommit,
    JournalActor,
    JournalCommit,
    Origin,
    lines_of,
)
from eventspine.contracts.errors import EventspineError, TooLarge
from eventspine.contracts.journal import State
from eventspine.contracts.stores import CommitKind
from eventspine.runtime.directory import Directory

log = logging.getLogger(__name__)
S = TypeVar("S", bound=State[Any])
RECORDS_MIN = 1000  # a journal shorter than this is not worth writing anew
SHARE = 2  # more than so many records for each that counts
SMALL_RECORDS = 4096  # more take the loop too long in one go
PIECE_RECORDS = 512
PIECE_BYTES = 256 * 1024
LATE = 4  # times as large are the pieces of what came meanwhile, so that it cannot outrun them
LAST_RECORDS = 512  # that may go into the commit that ends it
TRIES = 100  # for room at the writer
SIDES = ("~a", "~b")  # no segment of a key ends like this


class Anew(Generic[S]):
    """For the journals of one kind on one backend. `serve` writes the large ones."""

    def __init__(self, host: StreamHost, directory: Directory[JournalActor[S]]) -> None:
        self._host = host
        self._directory = directory
        self._wanted: deque[Origin] = deque()
        self._woken = anyio.Event()

    def look(self, actor: JournalActor[S], origin: Origin) -> None:
        """Write the journal anew if that is worth it; what is decided stays as it is."""
        records = actor.records
        if actor.since is not None or records < actor.look_at:
            return
        live = actor.state.live
        if live is None:
            return
        wanted = max(RECORDS_MIN, SHARE * live)
        if records < wanted:  # counting costs; what shrinks meanwhile is noticed a little later
            actor.look_at = records + max(1, (wanted - records) // 2)
            return
        actor.look_at = 2 * records  # not tried again soon if it cannot be done now
        lines = self._small(actor, origin, live)
        if lines is not None:
            self._replace(actor, origin, lines, None)
        elif actor.state.names() is not None:
            self._wanted.append(origin)
            self._woken.set()
        else:
            log.warning("%s: what counts is too much to be written anew", actor.key)

    def _small(self, actor: JournalActor[S], origin: Origin, live: int) -> list[bytes] | None:
        """The lines of the journal written anew; None as soon as they are too many."""
        if live > SMALL_RECORDS and actor.state.names() is not None:
            return None
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

    def _replace(
        self, actor: JournalActor[S], origin: Origin, lines: list[bytes], base: Base | None
    ) -> bool:
        """End the journal and begin it with these lines, in one commit. False: no room now."""
        end = JournalCommit(
            actor, actor.epoch, actor.sequence + 1, [], origin.mode, CommitKind.DELETE
        )
        new = JournalCommit(actor, actor.epoch + 1, 1, lines, origin.mode)
        own = [end, new] if lines else [end]
        parts: list[JournalCommit | BesideCommit] = [*own]
        if actor.base is not None:
            parts.append(_end_of(actor.base, origin))
        if not self._host.open_writer(actor.key).submit_together(parts):
            return False
        actor.pending += own
        actor.epoch, actor.sequence, actor.look_at = actor.epoch + 1, len(lines), 0
        actor.mode, actor.base = origin.mode if lines else None, base
        return True

    def _lines(
        self, records: list[msgspec.Struct], origin: Origin, epoch: int, first: int
    ) -> list[bytes]:
        return lines_of(records, origin, epoch, first, self._host.limits.event_bytes_max)

    # --- large ones ---

    async def serve(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """A service: writes journals that are too large for one commit, one after another."""
        task_status.started()
        while True:
            while self._wanted:
                origin = self._wanted.popleft()
                try:
                    await self._write(origin)
                except (EventspineError, OSError) as error:
                    log.info("%s: not written anew: %s", origin.key, error)
            self._woken = anyio.Event()
            await self._woken.wait()

    async def _write(self, origin: Origin) -> None:
        actor = self._directory.peek(origin.key)
        if actor is None or actor.since is not None:
            return
        side = SIDES[actor.base is not None and actor.base.key.endswith(SIDES[0])]
        writing = _Writing(self, actor, origin, origin.key + side)
        try:
            await writing.begin()
            await writing.copy()
            await writing.end(side)
        finally:
            actor.since = None

    async def commit(self, actor: JournalActor[S], origin: Origin, commit: BesideCommit) -> None:
        """Make a commit beside a journal durable, while the journal is whose it was."""
        self.check(actor, origin)
        commit.ticket = ticket = self._host.new_ticket()
        self._host.open_writer(actor.key).submit(commit)
        await ticket

    def check(self, actor: JournalActor[S], origin: Origin) -> None:
        """Raise if the journal has moved, or was forgotten: what was copied is nobody's then."""
        refuse_moved(self._host.fences, origin.key, origin.mode)
        if self._directory.peek(origin.key) is not actor:
            raise _Forgotten(origin.key)


class _Forgotten(OSError):
    """The actor is another one by now."""


class _Overtaken(OSError):
    """More is written than can be copied: another time."""


class _Writing(Generic[S]):
    """One journal on its way beside itself."""

    def __init__(self, anew: Anew[S], actor: JournalActor[S], origin: Origin, key: str) -> None:
        self._anew = anew
        self._actor = actor
        self._origin = origin
        self._key = key
        self._epoch = 1
        self._written = 0

    async def begin(self) -> None:
        """Delete what an earlier attempt has left."""
        head = await self._anew._host.open_store().head(self._key)
        self._epoch = head.epoch
        if head.sequence:
            await self._commit([], head.sequence + 1, CommitKind.DELETE)
            self._epoch += 1

    async def copy(self) -> None:
        """Copy what counts, and what comes meanwhile, but for the last of it."""
        actor = self._actor
        names = actor.state.names()
        assert names is not None, "only a state that has names is copied so"
        actor.since = []
        records = self._records(iter([*actor.state.opening()]), iter(names))
        while piece := self._piece(records):
            await self._commit(piece, self._written + 1)
        while len(actor.since) > LAST_RECORDS:
            since, actor.since = actor.since, []
            late = iter(since)
            while piece := self._piece(late, LATE):
                await self._commit(piece, self._written + 1)
                if len(actor.since) > actor.records // SHARE:
                    raise _Overtaken(f"{len(actor.since)} records came meanwhile")

    def _records(
        self, opening: Iterator[msgspec.Struct], names: Iterator[str]
    ) -> Iterator[msgspec.Struct]:
        yield from opening
        for name in names:
            record = self._actor.state.record_of(name)
            if record is not None:
                yield record
        yield from self._actor.state.closing()

    def _piece(self, records: Iterator[msgspec.Struct], times: int = 1) -> list[bytes]:
        """The lines of the next commit; none at the end."""
        lines: list[bytes] = []
        room = times * PIECE_BYTES
        for record in islice(records, times * PIECE_RECORDS):
            at = self._written + len(lines) + 1
            lines += self._anew._lines([record], self._origin, self._epoch, at)
            room -= len(lines[-1])
            if room < 0:
                break
        return lines

    async def _commit(
        self, lines: list[bytes], first: int, kind: CommitKind = CommitKind.EVENTS
    ) -> None:
        commit = BesideCommit(self._key, self._origin.mode, self._epoch, first, lines, kind)
        await self._anew.commit(self._actor, self._origin, commit)
        self._written += len(lines)

    async def end(self, side: str) -> None:
        """From now on the journal is what is beside it, and what it says itself."""
        actor, origin = self._actor, self._origin
        base = Base(self._key, self._epoch, self._written)
        for _ in range(TRIES):
            self._anew.check(actor, origin)
            assert actor.since is not None, "it is being copied"
            said = Beside(side, self._written, self._epoch)
            lines = self._anew._lines([said, *actor.since], origin, actor.epoch + 1, 1)
            if self._anew._replace(actor, origin, lines, base):
                log.info("%s: written anew, %d records beside it", actor.key, self._written)
                return
            await anyio.sleep(0.01)  # the writer has no room for so much


def _end_of(base: Base, origin: Origin) -> BesideCommit:
    return BesideCommit(base.key, origin.mode, base.epoch, base.records + 1, [], CommitKind.DELETE)
