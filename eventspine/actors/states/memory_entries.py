"""The entries of a namespace of the memory store as they stand: by key, in key order, by their end.

Knows no rules of versions or room; `Memory` decides. An entry whose time is over stays until a
record says that it is gone. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import islice

from eventspine.actors.states.sorted_keys import SortedKeys
from eventspine.contracts.entries import Entry, EntryPage

_HEAP_SLACK = 64


class MemoryEntries:
    def __init__(self) -> None:
        self.bytes = 0
        self._entries: dict[str, Entry] = {}
        self._keys = SortedKeys()
        self._ends: list[tuple[str, int, str]] = []  # a heap; what moved since is still in it

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, key: str) -> Entry | None:
        """The entry of a key, expired or not."""
        return self._entries.get(key)

    def put(self, entry: Entry) -> None:
        before = self._entries.get(entry.key)
        if before is None:
            self._keys.add(entry.key)
        else:
            self.bytes -= before.size
        self.bytes += entry.size
        self._entries[entry.key] = entry
        self._put_end(entry)

    def remove(self, entry: Entry) -> None:
        del self._entries[entry.key]
        self._keys.discard()
        self.bytes -= entry.size

    def page(
        self, prefix: str, after: str | None, limit: int, bytes_max: int, now: str
    ) -> EntryPage:
        """Entries in key order; at least one if there is one, then as long as there is room."""
        entries: list[Entry] = []
        room = bytes_max
        found = self._found(prefix, after, now)
        for entry in islice(found, limit):
            room -= entry.size
            if entries and room < 0:
                return EntryPage(entries, entries[-1].key)
            entries.append(entry)
        more = next(found, None)
        return EntryPage(entries, None if more is None else entries[-1].key)

    def _found(self, prefix: str, after: str | None, now: str) -> Iterator[Entry]:
        for key in self._keys.after(prefix, after, self._entries):
            entry = self._entries[key]
            if entry.is_there(now):
                yield entry

    # --- what ends ---

    @property
    def first_end(self) -> str | None:
        """When the next entry expires."""
        self._forget_moved()
        return self._ends[0][0] if self._ends else None

    def over(self, now: str, limit: int) -> list[Entry]:
        """Entries whose time is over, the earliest first. The heap has them again afterwards."""
        found: list[tuple[str, int, str]] = []
        self._forget_moved()
        while self._ends and self._ends[0][0] <= now and len(found) < limit:
            end = heappop(self._ends)
            if not found or found[-1] != end:
                found.append(end)
            self._forget_moved()
        for end in found:
            heappush(self._ends, end)
        return [self._entries[key] for _, _, key in found]

    def _put_end(self, entry: Entry) -> None:
        if entry.expires_at is None:
            return
        if len(self._ends) > 2 * len(self._entries) + _HEAP_SLACK:  # most have moved since
            self._ends = [
                (one.expires_at, one.version, one.key)
                for one in self._entries.values()
                if one.expires_at is not None
            ]
            heapify(self._ends)
        else:
            heappush(self._ends, (entry.expires_at, entry.version, entry.key))

    def _forget_moved(self) -> None:
        while self._ends:
            expires_at, version, key = self._ends[0]
            entry = self._entries.get(key)
            if entry is not None and (entry.expires_at, entry.version) == (expires_at, version):
                return
            heappop(self._ends)
