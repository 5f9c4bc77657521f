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

from collections.abc import Iterable

from eventspine.actors.states.memory_entries import MemoryEntries
from eventspine.actors.states.memory_record import (
    MemoryRecord,
    entry_of,
    expired,
    record_of,
    touched,
)
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


class Memory(State[MemoryRecord]):
    record = MemoryRecord

    def __init__(self) -> None:
        self.version = 0
        self.unannounced: dict[int, Expired] = {}  # by version, the oldest first
        self._entries = MemoryEntries()
        self._latest = ""

    # --- what it adds up to ---

    def apply(self, record: MemoryRecord, sequence: int) -> None:
        self.version = max(self.version, record.version)
        self._latest = max(self._latest, record.updated_at)
        match record.op:
            case "set":
                self._entries.put(entry_of(record))
            case "touch":
                self._touch(record)
            case "announced":
                self._announced(record.version)
            case _:
                self._gone(record)

    def _touch(self, record: MemoryRecord) -> None:
        entry = self._entries.get(record.key)
        if entry is not None and entry.version == record.version:
            self._entries.put(entry._replace(expires_at=record.expires_at, slide_s=record.slide_s))

    def _gone(self, record: MemoryRecord) -> None:
        entry = self._entries.get(record.key)
        if entry is not None and entry.version == record.version:
            self._entries.remove(entry)
        if record.op == "expired":
            assert record.expires_at is not None, "only what had an end expires"
            told = Expired(record.key, record.version, record.expires_at)
            self.unannounced[record.version] = told

    def _announced(self, version: int) -> None:
        while version in self.unannounced:
            del self.unannounced[next(iter(self.unannounced))]

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
        for entry in self._entries:
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
    def size(self) -> int:
        """Bytes of all that counts."""
        return self._entries.bytes

    @property
    def due(self) -> str | None:
        """When the next entry expires: a sweep is worth it from then on. "": it is now."""
        return "" if self.unannounced else self._entries.first_end

    def peek(self, key: str, now: str) -> Entry | None:
        """An entry as it is, without moving its expiry."""
        entry = self._entries.get(key)
        return entry if entry is not None and entry.is_there(now) else None

    def page(
        self, prefix: str, after: str | None, limit: int, bytes_max: int, now: str
    ) -> EntryPage:
        """Entries in key order; at least one if there is one, then as long as there is room."""
        return self._entries.page(prefix, after, limit, bytes_max, now)

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
        over = self._entries.over(now, min(limit, left))
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
        own = entry.size
        limits = (("memory_bytes_max", room.bytes_max), (TENANT_LIMITS[1], room.tenant_bytes_max))
        for limit, maximum in limits:
            if maximum is not None and own > maximum:
                raise TooLarge(f"an entry of {own} bytes", limit=limit, maximum=maximum)
        before = self._entries.get(entry.key)
        over = [before] if before is not None and not before.is_there(now) else []
        entries, size = self._lacking(own, before, room)
        if entries > 0 or size > 0:
            for one in self._entries.over(now, EXPIRE_MAX):
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

    def _lacking(self, size: int, before: Entry | None, room: Room) -> tuple[int, int]:
        """How many entries and bytes too many there are with one of `size` in place of `before`.

        What shrinks always fits.
        """
        growth = size - (0 if before is None else before.size)
        return (
            len(self._entries) + 1 - room.entries[0] if before is None else 0,
            self.size + growth - room.bytes[0] if growth > 0 else 0,
        )

    def _refuse(self, room: Room, limit: str, maximum: int) -> None:
        there = f"{len(self._entries)} entries of {self.size} bytes are there"
        if limit in TENANT_LIMITS:
            there += f", {room.others_entries} of {room.others_bytes} in the tenant's others"
        raise MemoryFull(there, limit=limit, maximum=maximum)


def _integer(entry: Entry) -> int:
    try:
        if len(entry.json) <= INTEGER_CHARS_MAX:
            return int(entry.json)
    except ValueError:
        pass
    raise NotAnInteger(f"{entry.key[:100]!r} holds no integer of 64 bits")
