"""A number of permits handed out in order of arrival.

Why not anyio.CapacityLimiter: it suspends even when a permit is free, which would double the
cost of an activation that does no I/O.
"""

from __future__ import annotations

from collections import deque

import anyio
from anyio.lowlevel import checkpoint


class Permits:
    """At most `at_once` holders; the next in line is handed the permit of the one that leaves."""

    __slots__ = ("_free", "_line")

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._line: deque[anyio.Event] = deque()

    @property
    def waiting(self) -> int:
        return len(self._line)

    async def acquire(self) -> None:
        """Take a permit, waiting for one if need be; a cancelled wait takes none."""
        if self._free:
            self._free -= 1
            return
        handed = anyio.Event()
        self._line.append(handed)
        try:
            await handed.wait()
        except BaseException:
            # Cancelled in the very moment it was handed over: it must not be lost.
            if handed in self._line:
                self._line.remove(handed)
            else:
                self.release()
            raise

    def release(self) -> None:
        if self._line:
            self._line.popleft().set()
        else:
            self._free += 1

    async def pass_one_by_one(self) -> None:
        """Suspend once, together with at most `at_once` others: the rest wait for a later pass.

        So that a thousand tasks with work to do at once leave room for others between them.
        """
        await self.acquire()
        try:
            await checkpoint()
        finally:
            self.release()
