"""Keys in order, for listing by prefix: sorted when somebody lists, not with every write.

Adding costs an append. Listing after changes costs one pass over a list that is nearly sorted, and
a bisection after that. Refused: a balanced tree or skip list in Python, which costs more with every
write than it saves with a listing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator


class SortedKeys:
    def __init__(self) -> None:
        self._keys: list[str] = []
        self._listed = 0  # of `_keys`, how many are in order
        self._gone = 0

    def add(self, key: str) -> None:
        """A key that is not among them."""
        self._keys.append(key)

    def discard(self) -> None:
        """One of them has gone from what is live; which, is seen when somebody lists."""
        self._gone += 1

    def after(self, prefix: str, after: str | None, live: Container[str]) -> Iterator[str]:
        """Live keys that begin with `prefix`, in order, behind `after`."""
        self._tidy(live)
        start = bisect_left(self._keys, prefix)
        if after is not None:
            start = max(start, bisect_right(self._keys, after))
        for at in range(start, len(self._keys)):
            if not self._keys[at].startswith(prefix):
                return
            yield self._keys[at]

    def _tidy(self, live: Container[str]) -> None:
        if self._listed == len(self._keys) and not self._gone:
            return
        self._keys.sort()
        if self._gone:  # and one that came back is there twice
            self._keys = [key for key in dict.fromkeys(self._keys) if key in live]
        self._listed, self._gone = len(self._keys), 0
