"""A namespace of the memory store: entries by key, with versions and times to live. Pure.

Rules:
- An entry is gone from the moment it expires, for every question. The record that says so comes
  later, with a sweep or with the next write to its key; it is written once.
- What such a record tells is owed to listeners: it stays in `unannounced`, over a restart and a
  compaction too, until an `announced` record says that it and all before it were told.
- `version` counts the changes of values, so a key that was deleted and set again never has a
  version it had before. Touching an entry does not change its value, nor its version.
- A turn ends EXPIRE_MAX entries at most, so that other turns come in between.
Source: DESIGN decisions 3 and 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice

from eventspine.actors.states.memory_record import (
    MemoryRecord,
    entry_of,
    expired,
    record_of,
    touched,
)
from eventspine.actors.states.sorted_keys import SortedKeys
from eventspine.contracts.entries import (
    TENANT_LIMITS,
    Entry,
    EntryPage,
    Expired,
    Room,
    later,
)
from eventspine.contracts.errors import (
    EntryNotFound,
    MemoryFull,
    NotAnInteger,
    PreconditionFailed,
    TooLarge,
)
from eventspine.contracts.journal import Decision, State

EXPIRE_MAX = 1000
INTEGER_MAX = 2**63 - 1
INTEGER_CHARS_MAX = 20
_HEAP_SLACK = 64


class Memory(State[MemoryRecord]):
    record = MemoryRecord

    def __init__(self) -> None:
        self.version = 0
        self.bytes = 0
        self.unannounced: dict[int, Expired] = {}  # by version, the oldest first
        self._entries: dict[str, Entry] = {}
        self._keys = SortedKeys()
        self._ends: list[tuple[str, int, str]] = []  # a heap; what moved since is still in it
        self._latest = ""

    # --- what it adds up to ---

    def apply(self, record: MemoryRecord, sequence: int) -> None:
        self.version = max(self.version, record.version)
        self._latest = max(self._latest, record.updated_at)
        match record.op:
            case "set":
                self._set(entry_of(record))
            case "touch":
                self._touch(record)
            case "announced":
                self._announced(record.version)
            case _:
                self._gone(record)

    def _set(self, entry: Entry) -> None:
        before = self._entries.get(entry.key)
        if before is None:
            self._keys.add(entry.key)
        else:
            self.bytes -= before.size
        self.bytes += entry.size
        self._keep(entry)

    def _touch(self, record: MemoryRecord) -> None:
        entry = self._entries.get(record.key)
        if entry is not None and entry.version == record.version:
            self._keep(entry._replace(expires_at=record.expires_at, slide_s=record.slide_s))

    def _gone(self, record: MemoryRecord) -> None:
        entry = self._entries.get(record.key)
        if entry is not None and entry.version == record.version:
            del self._entries[record.key]
            self._keys.discard()
            self.bytes -= entry.size
        if record.op == "expired":
            assert record.expires_at is not None, "only what had an end expires"
            told = Expired(record.key, record.version, record.expires_at)
            self.unannounced[record.version] = told

    def _announced(self, version: int) -> None:
        while version in self.unannounced:
            del self.unannounced[next(iter(self.unannounced))]

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.key] = entry
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

    @property
    def live(self) -> int:
        return len(self._entries) + len(self.unannounced)

    def snapshot(self) -> Iterable[MemoryRecord]:
        last = 0
        for gone in self.unannounced.values():
            last = max(last, gone.version)
            yield MemoryRecord(
                gone.key, "expired", gone.version, self._latest, expires_at=gone.expires_at
            )
        for entry in self._entries.values():
            last = max(last, entry.version)
            yield record_of(entry)
        if last < self.version:  # the youngest value is gone; its number stays spent
            yield MemoryRecord("", "delete", self.version, self._latest)

    # --- questions ---

    @property
    def count(self) -> int:
        """How many entries count, expired ones that nobody has written down yet too."""
        return len(self._entries)

    @property
    def due(self) -> str | None:
        """When the next entry expires: a sweep is worth it from then on. "": it is now."""
        if self.unannounced:
            return ""
        self._forget_moved()
        return self._ends[0][0] if self._ends else None

    def peek(self, key: str, now: str) -> Entry | None:
        """An entry as it is, without moving its expiry."""
        entry = self._entries.get(key)
        return entry if entry is not None and entry.is_there(now) else None

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

    # --- decisions ---

    def get(self, key: str, now: str) -> Decision[Entry | None]:
        """An entry; one with a sliding expiry lives on from now, and that is a record."""
        entry = self.peek(key, now)
        if entry is None or entry.slide_s is None:
            return Decision((), entry)
        ends = later(now, entry.slide_s)
        if entry.expires_at is not None and ends <= entry.expires_at:
            return Decision((), entry)
        moved = entry._replace(expires_at=ends)
        return Decision([touched(moved, now)], moved)

    def set(
        self,
        key: str,
        json: bytes,
        now: str,
        room: Room,
        *,
        ttl_s: float | None = None,
        slide_s: float | None = None,
        if_version: int | None = None,
    ) -> Decision[Entry]:
        """Set a value, whatever was there; without `ttl_s` and `slide_s` it stays.

        Args:
            slide_s: reading it lets it live for so long from then, if that is longer.

        Raises:
            PreconditionFailed: the entry is not at `if_version`; 0: there is one.
            MemoryFull, TooLarge: there is no room for it.
        """
        self._expect(key, if_version, now)
        first_s = slide_s if ttl_s is None else ttl_s
        expires_at = None if first_s is None else later(now, first_s)
        entry = Entry(key, json, self.version + 1, now, expires_at, slide_s)
        return Decision([*self._make_room(entry, now, room), record_of(entry)], entry)

    def incr(
        self, key: str, by: int, now: str, room: Room, ttl_s: float | None = None
    ) -> Decision[Entry]:
        """Add to an integer, which is 0 where there is none; its expiry stays as it is.

        Args:
            ttl_s: the time to live of the entry, if this begins it.

        Raises:
            NotAnInteger: the value is no integer, or the sum has more than 64 bits.
        """
        entry = self.peek(key, now)
        value = by + (0 if entry is None else _integer(entry))
        if not -INTEGER_MAX - 1 <= value <= INTEGER_MAX:
            raise NotAnInteger(f"{key[:100]!r}: the sum does not fit into 64 bits")
        json = b"%d" % value
        if entry is None:
            return self.set(key, json, now, room, ttl_s=ttl_s)
        entry = entry._replace(json=json, version=self.version + 1, updated_at=now)
        return Decision([*self._make_room(entry, now, room), record_of(entry)], entry)

    def touch(self, key: str, ttl_s: float | None, now: str) -> Decision[Entry]:
        """Let an entry live for `ttl_s` from now, or for ever. A sliding one slides by that.

        Raises:
            EntryNotFound: it is not there, any more or at all.
        """
        entry = self.peek(key, now)
        if entry is None:
            raise EntryNotFound(f"no entry {key[:100]!r}")
        expires_at = None if ttl_s is None else later(now, ttl_s)
        slide_s = None if entry.slide_s is None else ttl_s
        entry = entry._replace(expires_at=expires_at, slide_s=slide_s)
        return Decision([touched(entry, now)], entry)

    def delete(self, key: str, now: str, if_version: int | None = None) -> Decision[bool]:
        """Delete an entry; answers whether there was one. Nothing is announced of it."""
        self._expect(key, if_version, now)
        entry = self.peek(key, now)
        if entry is None:
            return Decision((), False)
        return Decision([MemoryRecord(key, "delete", entry.version, now)], True)

    def expire(self, now: str, room: Room, limit: int = EXPIRE_MAX) -> Decision[list[Expired]]:
        """Write down what has expired, the earliest first; answers what this very turn wrote.

        No more than `memory_entries_max` wait to be announced: then the rest stays as it is.
        """
        left = max(0, room.entries_max - len(self.unannounced))
        over = self._over(now, min(limit, left))
        told = [Expired(one.key, one.version, one.expires_at or "") for one in over]
        return Decision([expired(one, now) for one in over], told)

    def announced(self, version: int, now: str) -> Decision[None]:
        """What has expired was told to listeners, in order, up to the entry of this version."""
        if version not in self.unannounced:  # another sweep was as fast
            return Decision((), None)
        return Decision([MemoryRecord("", "announced", version, now)], None)

    def _expect(self, key: str, if_version: int | None, now: str) -> None:
        if if_version is None:
            return
        entry = self.peek(key, now)
        version = 0 if entry is None else entry.version
        if if_version != version:
            raise PreconditionFailed(
                f"entry {key[:100]!r} is at version {version}, not {if_version}",
                expected=str(if_version),
                current=str(version),
            )

    # --- room, and what ends ---

    def _make_room(self, entry: Entry, now: str, room: Room) -> list[MemoryRecord]:
        """The ends that have to be written down before `entry` can be set."""
        limits = [("memory_bytes_max", room.bytes_max), (TENANT_LIMITS[1], room.tenant_bytes_max)]
        for limit, maximum in limits:
            if maximum is not None and entry.size > maximum:
                raise TooLarge(f"an entry of {entry.size} bytes", limit=limit, maximum=maximum)
        before = self._entries.get(entry.key)
        over = [before] if before is not None and not before.is_there(now) else []
        entries, size = self._lacking(entry, room)
        if entries > 0 or size > 0:
            for one in self._over(now, EXPIRE_MAX):
                if one is not before:
                    over.append(one)
                    entries, size = entries - 1, size - one.size
                if entries <= 0 and size <= 0:
                    break
        # what expires has to be told, and that is kept until somebody takes it
        untold = len(self.unannounced) + len(over) if over else 0
        if untold > room.entries_max:
            self._refuse(room, "memory_entries_max", room.entries_max)
        if entries > 0:
            self._refuse(room, *room.entries[1:])
        if size > 0:
            self._refuse(room, *room.bytes[1:])
        return [expired(one, now) for one in over]

    def _lacking(self, entry: Entry, room: Room) -> tuple[int, int]:
        """How many entries and bytes too many there are with `entry`; what shrinks always fits."""
        before = self._entries.get(entry.key)
        growth = entry.size - (0 if before is None else before.size)
        return (
            len(self._entries) + 1 - room.entries[0] if before is None else 0,
            self.bytes + growth - room.bytes[0] if growth > 0 else 0,
        )

    def _refuse(self, room: Room, limit: str, maximum: int) -> None:
        there = f"{len(self._entries)} entries of {self.bytes} bytes are there"
        if limit in TENANT_LIMITS:
            there += f", {room.others_entries} of {room.others_bytes} in the tenant's others"
        raise MemoryFull(there, limit=limit, maximum=maximum)

    def _over(self, now: str, limit: int) -> list[Entry]:
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

    def _forget_moved(self) -> None:
        while self._ends:
            expires_at, version, key = self._ends[0]
            entry = self._entries.get(key)
            if entry is not None and (entry.expires_at, entry.version) == (expires_at, version):
                return
            heappop(self._ends)


def _integer(entry: Entry) -> int:
    try:
        if len(entry.json) <= INTEGER_CHARS_MAX:
            return int(entry.json)
    except ValueError:
        pass
    raise NotAnInteger(f"{entry.key[:100]!r} holds no integer of 64 bits")
