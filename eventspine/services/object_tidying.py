"""Tidying: what a crash or an outage left of the objects of a scope is put right before use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from weakref import ReferenceType, ref

import anyio

from eventspine.contracts.stores import EventStreamStore
from eventspine.services.object_index import Index

Opened = ReferenceType[EventStreamStore]


class Tidying:
    """Args: put_right: does it; what it has left undone when it raises is done another time."""

    def __init__(self, put_right: Callable[[Index], Awaitable[None]]) -> None:
        self._put_right = put_right
        self._done: Opened | None = None  # since which opening of the backend
        self._lock = anyio.Lock()

    def undo(self) -> None:
        """Something is not as it should be any more: see to it with the next use."""
        self._done = None

    async def ready(self, index: Index, opened: EventStreamStore) -> None:
        """Once each time the backend was opened. Raises what putting right raises."""
        if self._done is None or self._done() is not opened:
            await self._tidy(index, opened)

    async def _tidy(self, index: Index, opened: EventStreamStore) -> None:
        async with self._lock:
            if self._done is not None and self._done() is opened:
                return
            self._done = ref(opened)  # who finds that it is not so any more says so again
            try:
                await self._put_right(index)
            except BaseException:
                self._done = None
                raise
