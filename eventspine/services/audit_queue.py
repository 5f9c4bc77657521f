"""AuditQueue: records that nobody waits for: looks at routes, outcomes, what happens to routes.

Job: hold them, a bounded number, and have them appended in order, what waits for one stream in
one batch; a hot path pays a dictionary look-up.
Rules:
- There is no delay: what comes while a batch is on its way makes up the next one.
- A place that fails is tried again with back-off; the others do not wait for it. One that has no
  route any more loses what waits for it.
- Above `queue_max` the newest is lost. What is lost is counted, and logged once until it works.
- Each has an event id, so that a second try stores nothing twice.
- A crash loses what waits, at most; see docs/AUDIT.md for what may be in it.
"""

from __future__ import annotations

import logging
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventspine.contracts.context import RequestContext, Scope
from eventspine.contracts.errors import BackendError, EventspineError, OwnerError
from eventspine.contracts.settings import AuditSettings
from eventspine.runtime.restart import Backoff

log = logging.getLogger(__name__)
BATCH_MAX = 500
BACKOFF = Backoff(base_s=0.5, cap_s=30.0)
Write = Callable[[Sequence[RequestContext], str, Sequence[Mapping[str, Any]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AuditStatistics:
    """`stored` and `failed` count records, also those somebody waited for; `lost` those queued."""

    stored: int = 0
    failed: int = 0
    waiting: int = 0
    lost: int = 0


class _Group:
    """What waits for one stream."""

    def __init__(self, where: Sequence[RequestContext], stream_id: str) -> None:
        self.where = where
        self.stream_id = stream_id
        self.events: deque[dict[str, Any]] = deque()
        self.due_s = -math.inf
        self.failures = 0


class AuditQueue:
    def __init__(
        self,
        write: Write,
        settings: AuditSettings,
        now_s: Callable[[], float],
        rng: random.Random | None = None,
    ) -> None:
        self._write = write
        self._max = settings.queue_max
        self._rng = rng or random.Random()
        self._groups: dict[tuple[Scope, str], _Group] = {}
        self._news = anyio.Event()
        self._empty = anyio.Event()
        self._run = f"{int(now_s() * 1000):x}"  # no two processes have one root at one time
        self._number = 0
        self.waiting = self.lost = 0
        self._losing = False

    def post(
        self, where: Sequence[RequestContext], stream_id: str, event: Mapping[str, Any]
    ) -> bool:
        """Append an event soon. Answers False when it is lost, because too many wait.

        Args:
            where: scopes; who asked is for the event itself to say, since one batch has many.
        """
        if self.waiting >= self._max:
            self._lose(1, f"more than {self._max} records wait")
            return False
        self._number += 1
        group = self._groups.setdefault((where[0].scope, stream_id), _Group(where, stream_id))
        group.events.append({"event_id": f"audit-{self._run}-{self._number}", **event})
        self.waiting += 1
        self._news.set()
        return True

    async def settled(self) -> None:
        """Wait until nothing waits that can be written now."""
        while any(group.failures == 0 for group in self._groups.values()):
            await self._empty.wait()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """A service for the supervisor. Runs until cancelled."""
        task_status.started()
        while True:
            self._news = anyio.Event()
            now = anyio.current_time()
            group = next((g for g in self._groups.values() if g.due_s <= now), None)
            if group is not None:
                await self._append(group)
                continue
            next_s = min((g.due_s for g in self._groups.values()), default=math.inf)
            with anyio.CancelScope(deadline=next_s):
                await self._news.wait()

    async def _append(self, group: _Group) -> None:
        batch = [group.events[n] for n in range(min(BATCH_MAX, len(group.events)))]
        try:
            await self._write(group.where, group.stream_id, batch)
        except EventspineError as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            if isinstance(cause, BackendError | OwnerError | TimeoutError):
                group.failures += 1
                pause_s = BACKOFF.pause_s(group.failures, self._rng)
                group.due_s = anyio.current_time() + pause_s
            else:
                self._taken(group, len(batch))
                self._lose(len(batch), str(error))
        else:
            group.failures, group.due_s, self._losing = 0, -math.inf, False
            self._taken(group, len(batch))
        empty, self._empty = self._empty, anyio.Event()
        empty.set()

    def _taken(self, group: _Group, count: int) -> None:
        """The first of a group are done with. It goes to the end of the line, if there are more."""
        for _ in range(count):
            group.events.popleft()
        self.waiting -= count
        place = (group.where[0].scope, group.stream_id)
        del self._groups[place]
        if group.events:
            self._groups[place] = group

    def _lose(self, count: int, why: str) -> None:
        self.lost += count
        if not self._losing:
            log.warning("records of the audit are lost: %s", why)
            self._losing = True

    def statistics(self, stored: int, failed: int) -> AuditStatistics:
        return AuditStatistics(stored, failed, self.waiting, self.lost)
