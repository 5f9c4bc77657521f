"""Mirror: what one backend has made durable is written to a second one before anybody is answered.

Job: the dual write of a switch, in the path of the owning actors. The source's writer settles a
batch on the loop; the commits of followed keys go, in their order, to the target's writer instead,
and are settled when they are durable there too.
Rules:
- A key is followed, or it lags: then it is the copier's (services/switching/copying.py), and its
  commits are answered from the source alone. The copier listens to a key while it copies the last
  stretch; `follow` sends what came meanwhile behind it, so nothing is missed and nothing doubled.
- The target is never ahead: a commit goes there when it is durable at the source, not before.
- When the target fails or has no room, the source is the truth: who waits is answered from it, and
  every key lags again. So it is when either of them is opened anew.
- What is on its way to the target counts as waiting at the source, which bounds it.
Source: DESIGN decisions 5 and 11.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from eventspine.actors.fence import Covers
from eventspine.actors.parcel import Mirrored, Parcel, Settle, Side, is_beyond
from eventspine.contracts.errors import EventspineError, Overloaded, StoreUnavailable
from eventspine.contracts.stores import StreamHead
from eventspine.runtime.writer import Writer

log = logging.getLogger(__name__)
HEARD_BYTES_MAX = 4 * 1024 * 1024
Told = Callable[[], object]


class _Heard:
    """What became durable of a key since somebody listens to it."""

    __slots__ = ("bytes", "commits")

    def __init__(self) -> None:
        self.commits: list[Mirrored] = []
        self.bytes = 0


class Mirror:
    """Args: covers: the keys of its route, by key and mode.

    followed: those known to be level; they are the mirror's from now on.
    """

    def __init__(
        self,
        source: Side,
        target: Side,
        covers: Covers,
        followed: set[str] | None = None,
    ) -> None:
        self.source, self.target = source, target
        self.covers = covers
        self.followed = set[str]() if followed is None else followed
        self.lagging: dict[str, None] = {}
        self.touched: set[str] = set()  # keys with a change since they were compared last
        self.unread: set[str] = set()  # and those that arrived since owners there were forgotten
        self.on_fall: Callable[[str], object] = lambda why: None
        self._store = target.store
        self._heard: dict[str, _Heard] = {}
        self._waiting: deque[Parcel] = deque()
        self._sent: deque[Parcel] = deque()
        self._moved = anyio.Event()
        self._falls = 0
        self._settled_falls = 0

    # --- what the source has made durable ---

    def take(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Keep what is followed; answer with the rest, which is to be settled now."""
        rest: list[Any] = []
        kept: list[Mirrored] = []
        for commit in batch:
            if not self.covers(commit.key, commit.mode):
                rest.append(commit)
                if commit.key in self.followed:  # deleted, and begun again in another mode
                    self.followed.discard(commit.key)
                    self.lag(commit.key)
                continue
            self.touched.add(commit.key)
            if commit.key in self.followed:
                kept.append(commit)
            else:
                rest.append(commit)
                self._hear(commit)
        if kept:
            self._send(kept, self.source.settle)
        return rest

    def _hear(self, commit: Mirrored) -> None:
        heard = self._heard.get(commit.key)
        if heard is None:
            self.lag(commit.key)
            return
        heard.commits.append(commit)
        heard.bytes += commit.size
        if heard.bytes > HEARD_BYTES_MAX:
            del self._heard[commit.key]

    # --- for the copier ---

    def lag(self, key: str) -> None:
        """The key is to be copied, from where the copy of it ends."""
        if key not in self.lagging and key not in self.followed:
            self.lagging[key] = None
            self._move()

    def listen(self, key: str) -> None:
        """Remember what becomes durable of a key from now on."""
        self._heard[key] = _Heard()

    def deafen(self, key: str) -> None:
        """Forget it again."""
        self._heard.pop(key, None)

    def is_deaf(self, key: str) -> bool:
        """Whether the listening was cut short: too much came, or a backend failed."""
        return key not in self._heard

    def follow(self, key: str, head: StreamHead) -> bool:
        """The target has the key up to `head`: send what came since, and go on with it.

        False: the listening was cut short; copy on and try again.
        """
        heard = self._heard.pop(key, None)
        if heard is None or self.target.store is not self._store:
            return False
        self.followed.add(key)
        self.unread.add(key)
        self.lagging.pop(key, None)
        self._move()
        behind = [commit for commit in heard.commits if is_beyond(commit, head)]
        if behind:
            self._send(behind, _nobody_waits)
        return key in self.followed

    def leave_out(self, key: str) -> None:
        """The key is not of this route after all: nothing of it is written here."""
        self._heard.pop(key, None)
        self.lagging.pop(key, None)
        self._move()

    async def settled(self) -> None:
        """Until the target says what became of all that was on its way before a failure.

        Raises StoreUnavailable, Draining: it is not open.
        """
        if self.target.store is not self._store:
            self.target.open_store()
            if self.followed:
                self._fall(f"{self.target.name} was opened anew")
            self._store = self.target.store
        while self._settled_falls != self._falls:
            falls = self._falls
            await self.target.open_writer().passed()
            self._settled_falls = falls

    # --- to the target ---

    def _send(self, commits: Sequence[Mirrored], settle: Settle) -> None:
        writer = self.source.writer
        assert writer is not None, "it has just made them durable"
        parcel = Parcel(commits, settle, writer, self._arrived, self._failed)
        self._waiting.append(parcel)
        self._pump()

    def _pump(self) -> None:
        while self._waiting:
            try:
                taken = self._writer().submit_together(self._waiting[0].copies())
            except EventspineError as error:
                self._failed(error)
                return
            if not taken:
                if not self._sent:
                    self._failed(Overloaded("it has no room"))
                return  # there is room when what is on its way has arrived
            self._sent.append(self._waiting.popleft())

    def _writer(self) -> Writer[Any]:
        """The target's, asked in a callback of the loop, where no host tells when to try again."""
        writer = self.target.writer
        if writer is None or self.target.store is None:
            raise StoreUnavailable("it is not open")
        if self.target.store is not self._store:
            raise StoreUnavailable("it was opened anew")
        return writer

    def _arrived(self, parcel: Parcel) -> None:
        if self._sent and self._sent[0] is parcel:  # else a failure has answered it
            self._sent.popleft()
            self.unread.update(parcel.keys)
            parcel.answer()
            self._move()
            self._pump()

    def _failed(self, error: BaseException) -> None:
        """The source is the truth: answer from it, and copy what the target lacks."""
        if self.followed:
            self._fall(f"{self.target.name}: {error}")

    def source_opened(self) -> None:
        """The source was opened anew: what it has is not what was heard of it."""
        self._fall(f"{self.source.name} was opened anew")

    def _fall(self, why: str) -> None:
        log.warning("%s does not follow %s: %s", self.target.name, self.source.name, why)
        self._let_go()
        self.on_fall(why)
        self._move()

    def _let_go(self) -> None:
        self._falls += 1
        parcels = self.under_way
        self._sent.clear()
        self._waiting.clear()
        self._heard.clear()
        self.lagging.update(dict.fromkeys(self.followed))
        self.followed.clear()
        for parcel in parcels:
            parcel.answer()

    # --- waiting ---

    @property
    def under_way(self) -> list[Parcel]:
        """What the source has and the target has not said anything of yet, in order."""
        return [*self._sent, *self._waiting]

    def _move(self) -> None:
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    async def wait(self) -> None:
        """Until something moves: a parcel arrives, a key lags."""
        await self._moved.wait()

    async def quiet(self) -> None:
        """Until nothing is on its way to the target."""
        while self._sent or self._waiting:
            await self._moved.wait()

    def hand_over(self) -> set[str]:
        """What both have alike, for the mirror of the other direction; this one follows nothing."""
        followed, self.followed = self.followed, set()
        return followed

    def end(self) -> None:
        """Whoever waits is answered from the source; from now on it is written alone."""
        self._let_go()
        self._move()


def _nobody_waits(commits: Sequence[Any]) -> None:
    return None
