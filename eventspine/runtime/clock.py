"""The running loop's own clock, found once and then called directly.

`anyio.current_time()` looks its backend up on every call (about 0.5 us here); a turn reads the
clock twice, so the directory keeps the loop's function instead. It is the same clock deadlines
are stated in, which keeps virtual time true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio


def loop_clock() -> Callable[[], float]:
    """The clock of the running event loop, in seconds. Must be called from within it.

    The cancelled class tells the backend: a running asyncio loop alone does not, because trio
    in guest mode or under a bridge has one in the same thread.
    """
    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        return asyncio.get_running_loop().time
    return anyio.current_time


class LoopClock:
    """The clock of the loop that asks first; what it belongs to lives in one loop anyway."""

    __slots__ = ("_read",)

    def __init__(self) -> None:
        self._read: Callable[[], float] | None = None

    def now(self) -> float:
        read = self._read
        if read is None:
            read = self._read = loop_clock()
        return read()
