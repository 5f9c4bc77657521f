"""Values by key in many small dictionaries, so that none of them ever holds the loop.

A dictionary that outgrows its room moves everything it holds in one go: 17 ms at 350,000 keys, 33
at 700,000. Sixty-four of them do so one after another, a millisecond or less each, for a tenth of a
microsecond more at every look. Not in order of anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")
SHARDS = 64
MASK = SHARDS - 1


class Sharded(Generic[V]):
    """`shards[hash(key) & MASK]` has the key, for loops that cannot afford a call."""

    __slots__ = ("shards",)

    def __init__(self) -> None:
        self.shards: list[dict[str, V]] = [{} for _ in range(SHARDS)]

    def get(self, key: str) -> V | None:
        return self.shards[hash(key) & MASK].get(key)

    def __contains__(self, key: object) -> bool:
        return key in self.shards[hash(key) & MASK]

    def __getitem__(self, key: str) -> V:
        return self.shards[hash(key) & MASK][key]

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def items(self) -> Iterator[tuple[str, V]]:
        for shard in self.shards:
            yield from shard.items()

    def keys_so_far(self) -> Iterator[str]:
        """Keys while others come and go: those that stay all the time, and any of the others."""
        for shard in self.shards:
            yield from list(shard)
