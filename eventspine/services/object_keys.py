"""KeyTurns: who may change what lies under a key's final name, and how far it has come.

Job: a lock for each key in use, and the version of the index whose bytes the name has got.
Rule: a change keeps the key in use from before its record is decided until the name follows. So
changes that overtake each other on that way are told apart by their versions, without asking the
index again, which would wait for the disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio


class KeyTurn:
    """A key in use. `version`: of the latest change that its name follows, 0: none since."""

    __slots__ = ("lock", "users", "version")

    def __init__(self) -> None:
        self.lock = anyio.Lock(fast_acquire=True)
        self.users = 0
        self.version = 0


class KeyTurns:
    def __init__(self) -> None:
        self._turns: dict[str, KeyTurn] = {}

    @contextmanager
    def in_use(self, key: str) -> Iterator[KeyTurn]:
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = KeyTurn()
        turn.users += 1
        try:
            yield turn
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[key]

    @asynccontextmanager
    async def locked(self, key: str) -> AsyncIterator[KeyTurn]:
        with self.in_use(key) as turn:
            async with turn.lock:
                yield turn
