"""Turns: while several tenants append, none of them fills a pass of the loop.

Job: say whether a tenant's append may run now; keep those that may not, and run them in the next
passes, in order.
Why: everything that is ready in one pass of the loop runs before anybody is answered. A hundred
busy connections of one tenant made that pass, and everybody's p99, as long as a hundred appends.
Rules: a tenant that is alone waits for nobody. With others about (an append within `ABOUT_S`), it
gets `appends_a_pass` a pass; what waits is bounded by its connections, each of which has one
request on its way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

ABOUT_S = 1.0


class Turns:
    """Belongs to one event loop, the one that calls it first."""

    def __init__(self, appends_a_pass: int) -> None:
        self.deferred = 0  # appends that had to wait for a later pass
        self._appends_a_pass = appends_a_pass
        self._taken: dict[str, int] = {}
        self._waiting: dict[str, deque[Callable[[], None]]] = {}
        self._resident: str | None = None  # who had the last pass, or the last place in it
        self._others_until = 0.0
        self._counting = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def may_run(self, tenant: str) -> bool:
        """Whether an append of this tenant may run in this pass; if so it is counted."""
        taken = self._taken.get(tenant, 0)
        if taken >= self._appends_a_pass and self._has_others():
            return False
        if self._waiting and tenant in self._waiting:
            return False
        self._taken[tenant] = taken + 1
        if not self._counting:
            self._counting = True
            loop = self._loop = self._loop or asyncio.get_running_loop()
            loop.call_soon(self._next_pass)
        return True

    def later(self, tenant: str, work: Callable[[], None]) -> None:
        """Run `work` when it is its turn, after what waits already."""
        self.deferred += 1
        self._waiting.setdefault(tenant, deque()).append(work)

    def _has_others(self) -> bool:
        """Whether more than one tenant has appended lately. Asked for busy tenants alone."""
        assert self._loop is not None
        return len(self._taken) > 1 or self._loop.time() < self._others_until

    def _next_pass(self) -> None:
        """The pass is over: remember who was there, and begin the next with those who wait."""
        assert self._loop is not None
        taken, self._taken = self._taken, {}
        if len(taken) > 1 or self._resident not in taken:
            if len(taken) > 1 or (taken and self._resident is not None):
                self._others_until = self._loop.time() + ABOUT_S
            self._resident = next(reversed(taken), self._resident)
        self._counting = bool(self._waiting)
        if not self._counting:
            return
        self._loop.call_soon(self._next_pass)
        for tenant, waiting in list(self._waiting.items()):
            turn = [waiting.popleft() for _ in range(min(len(waiting), self._appends_a_pass))]
            self._taken[tenant] = len(turn)
            if not waiting:
                del self._waiting[tenant]
            for work in turn:
                work()
