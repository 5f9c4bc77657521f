"""How much session memory a tenant holds, over all its namespaces. Pure.

Job: entries and bytes of every namespace that has been counted, and their sums, in constant time.
Rules: a namespace's state is looked at again before the next decision of the tenant, whoever's that
is, because what was decided last has changed it since. So the sums are exact at every decision.
Source: KIND-06, DESIGN decision 3.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Sized(Protocol):
    """A namespace as it stands: eventspine.actors.states.memory.Memory."""

    @property
    def size(self) -> int: ...
    @property
    def count(self) -> int: ...


class Size(NamedTuple):
    entries: int
    bytes: int


NOTHING = Size(0, 0)
Place = tuple[str, str]  # the name of a backend, and the key of a journal in it


class MemoryTally:
    """Args: backends: what was counted, by the name of each, with how often it had forgotten."""

    def __init__(self, backends: dict[str, int]) -> None:
        self.backends = backends
        self.complete = False  # every namespace has been looked at
        self._sizes: dict[Place, Size] = {}
        self._entries = 0
        self._bytes = 0
        self._touched: tuple[Place, Sized] | None = None

    def look(self, place: Place, memory: Sized) -> Size:
        """What the tenant's other namespaces hold, while this one decides."""
        if self._touched is not None and self._touched[1] is not memory:
            self._put(*self._touched)
        self._put(place, memory)
        self._touched = place, memory
        own = self._sizes[place]
        return Size(self._entries - own.entries, self._bytes - own.bytes)

    def _put(self, place: Place, memory: Sized) -> None:
        before, now = self._sizes.get(place, NOTHING), Size(memory.count, memory.size)
        self._sizes[place] = now
        self._entries += now.entries - before.entries
        self._bytes += now.bytes - before.bytes
