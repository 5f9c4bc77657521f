"""A table beside a dictionary: any program of operations, and replaying its records."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventspine.actors.states.table import Table, TableRecord
from eventspine.contracts.errors import PreconditionFailed
from eventspine.contracts.rows import Operation, Row
from tests.stores.pieces import Pieces

KEYS = st.text("abé/", min_size=1, max_size=3)
JSON = st.sampled_from([b"1", b'{"a":[1,2]}', b'"x"', b"null"])


def at(second: int) -> str:
    return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000Z"


class TableAndDictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table = Table()
        self.model: dict[str, tuple[bytes, int, int | None]] = {}
        self.version = 0
        self.second = 0
        self.sequence = 0
        self.stored: list[bytes] = []
        self.pieces: Pieces | None = None

    def live(self) -> dict[str, tuple[bytes, int, int | None]]:
        return {
            key: row for key, row in self.model.items() if row[2] is None or row[2] > self.second
        }

    def write(self, *operations: Operation) -> list[Row | None]:
        decision = self.table.write(operations, at(self.second))
        for record in decision.records:
            line = msgspec.json.encode(record)
            self.stored.append(line)
            self.sequence += 1
            self.table.apply(msgspec.json.decode(line, type=Table.record), self.sequence)
        if self.pieces is not None:
            self.pieces.since += decision.records
        return decision.answer

    @rule(key=KEYS, json=JSON, ttl=st.none() | st.integers(1, 5))
    def upsert(self, key: str, json: bytes, ttl: int | None) -> None:
        expires = None if ttl is None else self.second + ttl
        (row,) = self.write(Operation(key, json, None, None if expires is None else at(expires)))
        self.version += 1
        self.model[key] = (json, self.version, expires)
        assert row is not None
        assert (row.key, row.json, row.version) == (key, json, self.version)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        there = key in self.live()
        assert self.write(Operation(key, None)) == [None]
        self.version += there
        if there:
            del self.model[key]

    @rule(key=KEYS, version=st.integers(0, 30))
    def compare_and_set(self, key: str, version: int) -> None:
        found = self.live().get(key)
        if version == (0 if found is None else found[1]):
            self.write(Operation(key, b"7", version))
            self.version += 1
            self.model[key] = (b"7", self.version, None)
        else:
            with pytest.raises(PreconditionFailed):
                self.write(Operation(key, b"7", version))

    @rule(keys=st.lists(KEYS, min_size=1, max_size=4), last=st.integers(1000, 2000))
    def refused_batch(self, keys: list[str], last: int) -> None:
        before = len(self.stored)
        with pytest.raises(PreconditionFailed) as refused:
            self.write(*(Operation(key, b"9") for key in keys), Operation("z", b"9", last))
        assert refused.value.fields["operation"] == len(keys)
        assert len(self.stored) == before

    @rule(seconds=st.integers(1, 3))
    def time_passes(self, seconds: int) -> None:
        self.second += seconds

    @rule(count=st.integers(0, 3))
    def copied(self, count: int) -> None:
        self.pieces = self.pieces or Pieces(self.table)
        self.pieces.copy(self.table, count)

    @rule()
    def written_anew_in_pieces(self) -> None:
        if self.pieces is not None:
            self.stored, self.pieces = self.pieces.lines(self.table), None
            self.replayed()

    @rule()
    def written_anew(self) -> None:
        records = list(self.table.snapshot())
        assert len(records) <= self.table.live + 1
        self.stored = [msgspec.json.encode(record) for record in records]
        self.replayed()

    @rule()
    def replayed(self) -> None:
        """In slices, as a journal is read."""
        self.table, self.sequence = Table(), 0
        while self.sequence < len(self.stored):
            lines = self.stored[self.sequence : self.sequence + 3]
            records = [msgspec.json.decode(line, type=Table.record) for line in lines]
            self.table.apply_all(records, self.sequence + 1)
            self.sequence += len(lines)

    @invariant()
    def they_agree(self) -> None:
        now, live = at(self.second), self.live()
        for key in ("a", "b", "é", *live):
            row = self.table.get(key, now)
            found = None if row is None else (row.json, row.version)
            assert found == (live[key][:2] if key in live else None)
        assert self.table.version == self.version

    @rule(prefix=st.text("abé/", max_size=2), limit=st.integers(1, 4))
    def pages(self, prefix: str, limit: int) -> None:
        found: list[str] = []
        after: str | None = None
        while True:
            page = self.table.page(prefix, after, limit, 1 << 20, at(self.second))
            assert len(page.rows) <= limit
            found += [row.key for row in page.rows]
            if page.next is None:
                break
            assert page.next == page.rows[-1].key
            after = page.next
        assert found == sorted(key for key in self.live() if key.startswith(prefix))


TestTableAndDictionary = TableAndDictionary.TestCase


@given(st.integers(1, 200))
def test_a_page_is_bounded_in_bytes_and_has_at_least_one_row(room: int) -> None:
    table = Table()
    for record in table.write([Operation(f"k{n}", b"1234567890") for n in range(9)], at(0)).records:
        assert isinstance(record, TableRecord)
        table.apply(record, 1)
    page = table.page("", None, 100, room, at(1))
    assert 1 <= len(page.rows) <= max(1, room // 12)


def test_a_batch_sees_what_it_did_itself() -> None:
    table = Table()
    twice = [Operation("a", b"1", 0), Operation("a", b"2", 1), Operation("a", None, 2)]
    decision: Any = table.write([*twice, Operation("a", b"3", 0)], at(0))
    assert [row and (row.json, row.version) for row in decision.answer] == [
        (b"1", 1),
        (b"2", 2),
        None,
        (b"3", 4),
    ]
