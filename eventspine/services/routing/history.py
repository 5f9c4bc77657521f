"""The history of the registry: read by people, followed by watchers, and undone by a rollback.

Job: hold the newest changes for those who follow, find the older ones in the store, and say what
every row was at an earlier revision. Source: Q15, DESIGN decision 11.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import anyio

from eventspine.contracts.errors import RevisionGone
from eventspine.contracts.route import ResourceRoute, RouteKey, RouteSpec
from eventspine.contracts.route_change import RouteChange, difference

KEPT_MAX = 1000  # changes a watcher can be behind before it reads everything anew


class RouteHistory:
    """The changes of one registry. `load` is the store's."""

    def __init__(self, load: Callable[[], Awaitable[list[RouteChange]]]) -> None:
        self._load = load
        self._kept: deque[RouteChange] = deque(maxlen=KEPT_MAX)
        self._revision = 0
        self._moved = anyio.Event()
        self.ended = False
        self.notices = 0

    async def load(self, revision: int) -> None:
        self._revision = revision
        self._kept.extend((await self._load())[-KEPT_MAX:])

    @property
    def newest(self) -> RouteChange | None:
        """The last change, if there was one."""
        return self._kept[-1] if self._kept else None

    def add(self, change: RouteChange) -> None:
        """A change that is durable. Wakes who waits for it."""
        self._revision = change.revision
        self._kept.append(change)
        self._wake()

    def end(self) -> None:
        """The process stops: watchers end."""
        self.ended = True
        self._wake()

    def notice(self) -> None:
        """Something about routes changed that is no revision: a switch. Wakes who waits."""
        self.notices += 1
        self._wake()

    def _wake(self) -> None:
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    async def entries(
        self, matching: Mapping[str, str], before: int | None, limit: int
    ) -> list[RouteChange]:
        """Changes, the newest first, with a row whose key has all these parts."""
        found = []
        for change in reversed(await self._load()):
            if before is not None and change.revision >= before:
                continue
            keys = [row.key._asdict() for row in change.rows]
            if any(all(key[part] == value for part, value in matching.items()) for key in keys):
                found.append(change)
                if len(found) == limit:
                    break
        return found

    def since(self, revision: int) -> list[RouteChange] | None:
        """The changes after a revision; None when they are not at hand: read everything anew."""
        if revision == self._revision:
            return []
        if revision > self._revision or not self._kept or self._kept[0].revision > revision + 1:
            return None
        return [change for change in self._kept if change.revision > revision]

    async def wait(self, revision: int, notices: int | None = None) -> None:
        """Until there is a change after `revision`, a notice after `notices`, or the end."""
        notices = self.notices if notices is None else notices
        while self._revision <= revision and self.notices <= notices and not self.ended:
            await self._moved.wait()


def restored(
    history: Sequence[RouteChange], rows: Mapping[RouteKey, ResourceRoute], to: int, revision: int
) -> dict[RouteKey, RouteSpec | None]:
    """The rows that have to change for the registry to be what it was at revision `to`.

    Args:
        rows, revision: the registry as it is.

    Raises:
        RevisionGone: a change since then is not in the history.
    """
    undone = [change for change in reversed(history) if change.revision > to]
    if to > revision or not _complete([change.revision for change in undone], to, revision):
        earliest = history[0].revision - 1 if history else revision
        raise RevisionGone(
            f"the history has no revision {to}", requested=to, earliest=earliest, latest=revision
        )
    then: dict[RouteKey, ResourceRoute | None] = {}
    for change in undone:
        for row in change.rows:
            then[row.key] = row.before
    return {
        key: None if row is None else row.spec
        for key, row in then.items()
        if (row is not None or key in rows) and difference(rows.get(key), row)
    }


def _complete(undone: Collection[int], to: int, revision: int) -> bool:
    """Whether every revision from `revision` down to the one after `to` is there."""
    return list(undone) == list(range(revision, to, -1))
