"""A namespace of the memory beside a dictionary: any program, and replaying its records."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventspine.actors.states.memory import Memory
from eventspine.actors.states.memory_record import MemoryRecord
from eventspine.contracts.entries import Room
from eventspine.contracts.errors import (
    EntryNotFound,
    MemoryFull,
    NotAnInteger,
    PreconditionFailed,
    TooLarge,
)
from eventspine.contracts.journal import Decision
from tests.inner import examples

ROOMY = Room(1000, 1 << 20)
KEYS = st.text("abé/", min_size=1, max_size=2)
JSON = st.sampled_from([b"1", b'{"a":[1,2]}', b'"x"', b"null", b"-7"])
TTLS = st.none() | st.integers(1, 4)


def at(second: int) -> str:
    return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000Z"


class _Kept:
    """What the dictionary holds."""

    def __init__(self, json: bytes, version: int, end: int | None, slide: int | None) -> None:
        self.json, self.version, self.end, self.slide = json, version, end, slide


class MemoryAndDictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory()
        self.model: dict[str, _Kept] = {}
        self.version = self.second = self.sequence = 0
        self.stored: list[bytes] = []
        self.expired: list[tuple[str, int]] = []  # as the records say
        self.ended: list[tuple[int, str, int]] = []  # as the clock says
        self.told = 0

    def take(self, decision: Decision[Any]) -> Any:
        for record in decision.records:
            assert isinstance(record, MemoryRecord)
            if record.op == "expired":
                self.expired.append((record.key, record.version))
            line = msgspec.json.encode(record)
            self.stored.append(line)
            self.sequence += 1
            self.memory.apply(msgspec.json.decode(line, type=Memory.record), self.sequence)
        return decision.answer

    def keep(self, key: str, json: bytes, end: int | None, slide: int | None) -> None:
        self.version += 1
        self.model[key] = _Kept(json, self.version, end, slide)

    @rule(key=KEYS, json=JSON, ttl=TTLS, slide=TTLS)
    def set(self, key: str, json: bytes, ttl: int | None, slide: int | None) -> None:
        self.take(self.memory.set(key, json, at(self.second), ROOMY, ttl_s=ttl, slide_s=slide))
        first = slide if ttl is None else ttl
        self.keep(key, json, None if first is None else self.second + first, slide)

    @rule(key=KEYS, version=st.integers(0, 20))
    def compare_and_set(self, key: str, version: int) -> None:
        found = self.model.get(key)
        now = at(self.second)
        if version == (0 if found is None else found.version):
            self.take(self.memory.set(key, b"7", now, ROOMY, if_version=version))
            self.keep(key, b"7", None, None)
        else:
            with pytest.raises(PreconditionFailed):
                self.memory.set(key, b"7", now, ROOMY, if_version=version)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        found = self.model.get(key)
        entry = self.take(self.memory.get(key, at(self.second)))
        assert (entry is None) == (found is None)
        if found is not None and found.slide is not None:
            assert found.end is not None
            found.end = max(found.end, self.second + found.slide)

    @rule(key=KEYS, ttl=TTLS)
    def touch(self, key: str, ttl: int | None) -> None:
        found = self.model.get(key)
        if found is None:
            with pytest.raises(EntryNotFound):
                self.memory.touch(key, ttl, at(self.second))
            return
        self.take(self.memory.touch(key, ttl, at(self.second)))
        found.end = None if ttl is None else self.second + ttl
        found.slide = None if found.slide is None else ttl

    @rule(key=KEYS, by=st.integers(-(2**64), 2**64), ttl=TTLS)
    def incr(self, key: str, by: int, ttl: int | None) -> None:
        found = self.model.get(key)
        value = b"0" if found is None else found.json
        fits = value.lstrip(b"-").isdigit() and -(2**63) <= int(value) + by < 2**63
        if not fits:
            with pytest.raises(NotAnInteger):
                self.memory.incr(key, by, at(self.second), ROOMY, ttl)
            return
        self.take(self.memory.incr(key, by, at(self.second), ROOMY, ttl))
        end = None if ttl is None else self.second + ttl
        json = b"%d" % (int(value) + by)
        if found is None:
            self.keep(key, json, end, None)
        else:
            self.keep(key, json, found.end, found.slide)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        there = self.model.pop(key, None) is not None
        assert self.take(self.memory.delete(key, at(self.second))) == there

    @rule(seconds=st.integers(1, 3))
    def time_passes(self, seconds: int) -> None:
        self.second += seconds
        for key, kept in list(self.model.items()):
            if kept.end is not None and kept.end <= self.second:
                self.ended.append((kept.end, key, kept.version))
                del self.model[key]

    @rule(limit=st.integers(1, 3))
    def sweep(self, limit: int) -> None:
        before = len(self.expired)
        swept = self.take(self.memory.expire(at(self.second), ROOMY, limit))
        assert isinstance(swept, list)
        assert [(one.key, one.version) for one in swept] == self.expired[before:]
        assert len(swept) <= limit
        ends = [one.expires_at for one in swept]
        assert ends == sorted(ends)
        if len(swept) < limit:
            assert {one[1:] for one in self.ended} == set(self.expired)

    @rule(part=st.integers(1, 3))
    def tell(self, part: int) -> None:
        some = list(self.memory.unannounced)[:part]
        if some:
            self.take(self.memory.announced(some[-1], at(self.second)))
            self.told += len(some)
            assert self.memory.announced(some[-1], at(self.second)).records == ()

    @rule()
    def written_anew(self) -> None:
        records = list(self.memory.snapshot())
        assert len(records) <= self.memory.live + 1
        self.stored = [msgspec.json.encode(record) for record in records]
        self.replayed()

    @rule()
    def replayed(self) -> None:
        self.memory, self.sequence = Memory(), 0
        for line in self.stored:
            self.sequence += 1
            self.memory.apply(msgspec.json.decode(line, type=Memory.record), self.sequence)

    @rule(prefix=st.text("abé/", max_size=2), limit=st.integers(1, 4))
    def pages(self, prefix: str, limit: int) -> None:
        found: list[str] = []
        after: str | None = None
        while True:
            page = self.memory.page(prefix, after, limit, 1 << 20, at(self.second))
            assert len(page.entries) <= limit
            found += [entry.key for entry in page.entries]
            if page.next is None:
                break
            assert page.next == page.entries[-1].key
            after = page.next
        assert found == sorted(key for key in self.model if key.startswith(prefix))

    @invariant()
    def they_agree(self) -> None:
        now = at(self.second)
        for key in {"a", "b", "é", *self.model}:
            entry, kept = self.memory.peek(key, now), self.model.get(key)
            if kept is None:
                assert entry is None
                continue
            assert entry is not None
            end = None if kept.end is None else at(kept.end)
            seen = (entry.json, entry.version, entry.expires_at, entry.slide_s)
            assert seen == (kept.json, kept.version, end, kept.slide)
        assert self.memory.version == self.version

    @invariant()
    def what_expires_is_written_and_told_once(self) -> None:
        assert len(set(self.expired)) == len(self.expired)
        assert set(self.expired) <= {one[1:] for one in self.ended}
        owed = [(one.key, one.version) for one in self.memory.unannounced.values()]
        assert owed == self.expired[self.told :]

    @invariant()
    def bytes_and_ends_are_counted(self) -> None:
        records = [one for one in self.memory.snapshot() if one.op == "set"]
        sizes = [len(one.key.encode()) + len(bytes(one.value)) for one in records]
        assert self.memory.size == sum(sizes)
        ends = [one.expires_at for one in records if one.expires_at is not None]
        assert self.memory.due == ("" if self.memory.unannounced else min(ends, default=None))


TestMemoryAndDictionary = MemoryAndDictionary.TestCase
TestMemoryAndDictionary.settings = settings(
    max_examples=examples(60), stateful_step_count=40, deadline=None
)


def put(memory: Memory, key: str, json: bytes, now: int, room: Room, ttl: int | None = None) -> int:
    """Set, take over, and answer how many records that was."""
    decision = memory.set(key, json, at(now), room, ttl_s=ttl)
    for record in decision.records:
        assert isinstance(record, MemoryRecord)
        memory.apply(record, 0)
    return len(decision.records)


def test_a_full_namespace_takes_what_fits_and_refuses_the_rest() -> None:
    memory, room = Memory(), Room(2, 10)
    put(memory, "a", b"1", 0, room)
    put(memory, "b", b"123456", 0, room)
    with pytest.raises(MemoryFull) as refused:
        put(memory, "c", b"1", 0, room)
    assert (refused.value.limit, refused.value.maximum) == ("memory_entries_max", 2)
    with pytest.raises(MemoryFull) as refused:
        put(memory, "a", b"123", 0, room)
    assert refused.value.limit == "memory_bytes_max"
    with pytest.raises(TooLarge):
        put(memory, "a", b"1234567890", 0, room)
    assert put(memory, "a", b"12", 0, room) == 1, "nine and one are ten"
    assert memory.size == 10
    assert put(memory, "b", b"1", 0, Room(1, 1_000)) == 1, "a change needs no room of its own"


def test_what_is_over_makes_room() -> None:
    memory, room = Memory(), Room(3, 1000)
    for n in range(3):
        put(memory, f"{n}", b"1", 0, room, ttl=n + 1)
    with pytest.raises(MemoryFull):
        put(memory, "new", b"1", 0, room)
    assert put(memory, "new", b"1", 2, room) == 2, "one of the two that are over is enough"
    assert put(memory, "2", b"1", 3, room) == 2, "its end, and what it is now"
    assert [one.key for one in memory.unannounced.values()] == ["0", "2"]


def test_nobody_who_listens_does_not_mean_endless_memory() -> None:
    memory, room = Memory(), Room(2, 1000)
    for n in range(2):
        put(memory, f"{n}", b"1", n * 10, room, ttl=1)
    for record in memory.expire(at(11), room).records:
        assert isinstance(record, MemoryRecord)
        memory.apply(record, 0)
    put(memory, "2", b"1", 20, room, ttl=1)
    assert memory.expire(at(30), room).records == []
    with pytest.raises(MemoryFull):
        put(memory, "2", b"1", 30, room)
    memory.apply(MemoryRecord("", "announced", 2, at(30)), 0)
    assert put(memory, "2", b"1", 30, room) == 2


def test_an_entry_that_is_read_often_leaves_little_behind() -> None:
    memory = Memory()
    decision: Decision[Any] = memory.set("k", b"1", at(0), ROOMY, slide_s=60)
    for second in range(1000):
        for record in decision.records:
            assert isinstance(record, MemoryRecord)
            memory.apply(record, 0)
        decision = memory.get("k", at(second))
    assert len(memory._entries._ends) < 100
    assert memory.live == 1


def test_an_entry_touched_twice_to_the_same_end_expires_once() -> None:
    memory = Memory()
    put(memory, "k", b"1", 0, ROOMY, ttl=5)
    for _ in range(2):
        for ttl_s in (9, 5):
            for record in memory.touch("k", ttl_s, at(0)).records:
                assert isinstance(record, MemoryRecord)
                memory.apply(record, 0)
    decision = memory.expire(at(5), ROOMY)
    assert [one.key for one in decision.answer] == ["k"]
    assert len(decision.records) == 1
