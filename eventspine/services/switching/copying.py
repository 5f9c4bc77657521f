"""Copying: a stream's lines from one backend to another, with their epochs and sequences.

Job: bring a lagging key level with its source and hand it over to the mirror, which follows it.
Rules:
- Lines are stored as they lie: cursors and event ids are in them, so both sides agree on both.
- A piece at a time, and a bounded number of keys at once; other traffic shares the disks.
- What the target has is never taken back, except an older life of a stream that was deleted where
  it comes from. What it has beyond its source, or otherwise, is a refusal that names the key.
- A stream may be deleted and begun again while it is copied: the epoch is looked at again after
  every read, and what was read of another life is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from eventspine.actors.host import StreamHost
from eventspine.actors.mirror import Mirror
from eventspine.contracts.errors import Overloaded, SwitchRefused
from eventspine.contracts.stores import CommitKind, StreamCommit, StreamHead
from eventspine.runtime.ticket import Ticket
from eventspine.services.switching.tally import Tally

KEYS_AT_ONCE = 16
PIECE_EVENTS = 4096
PIECE_BYTES = 256 * 1024
LAST_STRETCH_EVENTS = 4096  # no more than so many are copied while the mirror listens
ROOM_WAIT_S = 0.05
NOTHING = StreamHead()


class Copier:
    """The copying of one mirror's keys. `mode`: of the route. `tally`: counts what is copied."""

    def __init__(
        self, mirror: Mirror, source: StreamHost, target: StreamHost, mode: str, tally: Tally
    ) -> None:
        self.events = self.bytes = 0
        self._tally = tally
        self._mirror = mirror
        self._mode = mode
        self._source, self._target = source, target
        self._taken: set[str] = set()

    async def level_all(self) -> None:
        """Until no key lags. Raises the first refusal or failure."""
        failures: list[BaseException] = []

        async def work(scope: anyio.CancelScope) -> None:
            while (key := self._take()) is not None:
                try:
                    await self.level(key)
                except Exception as error:
                    failures.append(error)
                    scope.cancel()
                finally:
                    self._taken.discard(key)

        while self._mirror.lagging and not failures:
            async with anyio.create_task_group() as tasks:
                for _ in range(min(KEYS_AT_ONCE, len(self._mirror.lagging))):
                    tasks.start_soon(work, tasks.cancel_scope)
        if failures:
            raise failures[0]

    def _take(self) -> str | None:
        for key in self._mirror.lagging:
            if key not in self._taken:
                self._taken.add(key)
                return key
        return None

    async def level(self, key: str) -> None:
        """Copy what the target lacks of a key, and have the mirror follow it."""
        while key in self._mirror.lagging:
            await checkpoint()  # stores in memory never wait
            await self._mirror.settled()
            self._mirror.listen(key)
            try:
                await self._stretch(key)
            finally:
                self._mirror.deafen(key)

    async def _stretch(self, key: str) -> None:
        """All that is left, followed at its end; or a part of it, when that is much."""
        head = await self._source.open_store().head(key)
        there = await self._target.open_store().head(key)
        if head.mode is not None and head.mode != self._mode:
            self._mirror.leave_out(key)
            return
        if head.mode is None and there.mode is not None and there.mode != self._mode:
            self._mirror.leave_out(key)  # nothing of ours is in it, and somebody else's is there
            return
        await refuse_foreign(self._source, self._target, key, head, there, our_own=True)
        if there.epoch < head.epoch:
            await self._commit(key, head, there.sequence + 1, [], CommitKind.DELETE)
            there = StreamHead(head.epoch)
        last = min(head.sequence, there.sequence + LAST_STRETCH_EVENTS)
        if not await self._copy(key, head, there.sequence, last) or last < head.sequence:
            return
        if head.closed and not there.closed:
            await self._commit(key, head, head.sequence + 1, [], CommitKind.CLOSE)
        self._mirror.follow(key, head)

    async def _copy(self, key: str, head: StreamHead, at: int, last: int) -> bool:
        """Copy up to `last`. False: the stream has another life by now."""
        store = self._source.open_store()
        while at < last:
            lines = list(await store.read(key, at + 1, min(PIECE_EVENTS, last - at), PIECE_BYTES))
            if (await store.head(key)).epoch != head.epoch:
                return False
            if not lines:
                raise SwitchRefused(f"{key}: event {at + 1} is missing at the source", key=key)
            await self._commit(key, head, at + 1, lines)
            at += len(lines)
            size = sum(map(len, lines))
            self.events, self.bytes = self.events + len(lines), self.bytes + size
            self._tally.copied_events += len(lines)
            self._tally.copied_bytes += size
        return True

    async def _commit(
        self,
        key: str,
        head: StreamHead,
        first: int,
        lines: Sequence[bytes],
        kind: CommitKind = CommitKind.EVENTS,
    ) -> None:
        epoch = head.epoch - 1 if kind is CommitKind.DELETE else head.epoch
        ticket: Ticket[None] = self._target.new_ticket()
        piece: Any = _Piece(key, head.mode or "", epoch, first, lines, kind)
        piece.ticket = ticket
        with anyio.CancelScope(shield=True):  # else the next try would not know of it
            while True:
                try:
                    self._target.open_writer().submit(piece)
                    break
                except Overloaded:
                    await anyio.sleep(ROOM_WAIT_S)
            await ticket


class _Piece(StreamCommit):
    __slots__ = ("ticket",)
    ticket: Ticket[None]

    @property
    def size(self) -> int:
        return sum(map(len, self.lines))

    def settle(self, error: BaseException | None) -> None:
        if self.ticket.done():
            return
        if error is None:
            self.ticket.set_result(None)
        else:
            self.ticket.set_exception(error)


async def refuse_foreign(
    source: StreamHost,
    target: StreamHost,
    key: str,
    head: StreamHead,
    there: StreamHead,
    *,
    our_own: bool,
) -> None:
    """Raise SwitchRefused if the target has more of a key than a beginning of what its source has.

    Args:
        our_own: what the target has was copied there by this switch, also of an older life.
    """
    found = _beyond(head, there, our_own)
    if found is None and there.sequence and there.epoch == head.epoch:
        here = await source.open_store().read(key, there.sequence, 1, 1)
        that = await target.open_store().read(key, there.sequence, 1, 1)
        now = await source.open_store().head(key)
        if list(here) != list(that) and now.epoch == head.epoch:
            found = f"event {there.sequence} is another one"
    if found is not None:
        raise SwitchRefused(f"{target.name} holds other data under {key}: {found}", key=key)


def _beyond(head: StreamHead, there: StreamHead, our_own: bool) -> str | None:
    """What two heads alone say against a copy from the one to the other."""
    if there.mode is not None and head.mode is not None and there.mode != head.mode:
        return f"it was written in mode {there.mode} there"
    if (there.epoch, there.sequence) > (head.epoch, head.sequence):
        return f"it is ahead: {_at(there)}, the source is at {_at(head)}"
    if there.epoch < head.epoch:
        return (
            f"it has events of an earlier life: {_at(there)}"
            if there.sequence and not our_own
            else None
        )
    return "it is closed there" if there.closed and not head.closed else None


def _at(head: StreamHead) -> str:
    return f"epoch {head.epoch}, event {head.sequence}"
