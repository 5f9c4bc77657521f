"""A table of the tabular store: rows by key, versions, expiry. Pure.

Rules: `version` counts the changes of the table, so that a row that was deleted and written again
never has a version it had before. Times are ISO 8601 in UTC with milliseconds, which compare as
text. A row that has expired is not there; the next compaction forgets it.
Rows are hidden from the collector of cycles (`gc=False`): they can be in none, and looking at a
million of them held the loop for a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from eventspine.actors.states.sharded import MASK, Sharded
from eventspine.actors.states.sorted_keys import SortedKeys
from eventspine.contracts.errors import PreconditionFailed
from eventspine.contracts.journal import Decision, State
from eventspine.contracts.rows import Operation, Row, RowPage

NOTHING = msgspec.Raw(b"null")


class TableRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """A row was written, or deleted. Without a key: only the version counts."""

    key: str
    version: int
    updated_at: str
    data: msgspec.Raw = NOTHING
    expires_at: str | None = None
    deleted: bool = False


class _Kept(msgspec.Struct, frozen=True, gc=False):
    json: bytes
    version: int
    updated_at: str
    expires_at: str | None

    def named(self, key: str) -> Row:
        return Row(key, self.json, self.version, self.updated_at, self.expires_at)


class Table(State[TableRecord]):
    record = TableRecord

    def __init__(self) -> None:
        self.version = 0
        self._rows: Sharded[_Kept] = Sharded()
        self._keys = SortedKeys()
        self._latest = ""

    # --- what it adds up to ---

    def apply(self, record: TableRecord, sequence: int) -> None:
        self.apply_all((record,), sequence)

    def apply_all(self, records: Sequence[TableRecord], first: int) -> None:
        shards, add = self._rows.shards, self._keys.add
        version, latest = self.version, self._latest
        for one in records:
            key, updated_at = one.key, one.updated_at
            rows = shards[hash(key) & MASK]
            if one.version > version:  # noqa: PLR1730 - a call of max is a tenth of all this
                version = one.version
            if updated_at > latest:  # noqa: PLR1730
                latest = updated_at
            if one.deleted:
                if rows.pop(key, None) is not None:
                    self._keys.discard()
                continue
            if key not in rows:
                add(key)
            rows[key] = _Kept(bytes(one.data), one.version, updated_at, one.expires_at)
        self.version, self._latest = version, latest

    @property
    def live(self) -> int:
        return len(self._rows)

    def snapshot(self) -> Iterable[TableRecord]:
        last = 0
        for key, row in self._rows.items():
            if not _expired(row, self._latest):
                last = max(last, row.version)
                data = msgspec.Raw(row.json)
                yield TableRecord(key, row.version, row.updated_at, data, row.expires_at)
        if last < self.version:  # the youngest change was a deletion; its number stays spent
            yield TableRecord("", self.version, self._latest, deleted=True)

    def names(self) -> Iterable[str]:
        return self._rows.keys_so_far()

    def record_of(self, name: str) -> TableRecord | None:
        row = self._rows.get(name)
        if row is None or _expired(row, self._latest):
            return None
        data = msgspec.Raw(row.json)
        return TableRecord(name, row.version, row.updated_at, data, row.expires_at)

    def closing(self) -> Sequence[TableRecord]:
        return [TableRecord("", self.version, self._latest, deleted=True)]

    # --- questions ---

    def get(self, key: str, now: str) -> Row | None:
        row = self._rows.get(key)
        return None if row is None or _expired(row, now) else row.named(key)

    def all(self, now: str) -> list[Row]:
        """Every row, in key order."""
        return list(self._found("", None, now))

    def page(self, prefix: str, after: str | None, limit: int, bytes_max: int, now: str) -> RowPage:
        """Rows in key order; at least one if there is one, then as long as there is room."""
        rows: list[Row] = []
        room = bytes_max
        found = self._found(prefix, after, now)
        for row in islice(found, limit):
            room -= len(row.json) + len(row.key)
            if rows and room < 0:
                return RowPage(rows, rows[-1].key)
            rows.append(row)
        more = next(found, None)
        return RowPage(rows, None if more is None else rows[-1].key)

    def _found(self, prefix: str, after: str | None, now: str) -> Iterator[Row]:
        for key in self._keys.after(prefix, after, self._rows):
            row = self._rows[key]
            if not _expired(row, now):
                yield row.named(key)

    # --- decisions ---

    def write(self, operations: Sequence[Operation], now: str) -> Decision[list[Row | None]]:
        """All of the operations or none; each sees what those before it did.

        Answers the row as it is after each operation; None after a deletion.

        Raises:
            PreconditionFailed: a row is not at the version an operation expects.
        """
        changed: dict[str, Row | None] = {}
        records: list[TableRecord] = []
        answers: list[Row | None] = []
        for n, one in enumerate(operations):
            current = changed[one.key] if one.key in changed else self.get(one.key, now)
            _expect(one, current, n)
            if one.json is None and current is None:
                answers.append(None)  # nothing to delete, and nothing to write down
                continue
            version = self.version + len(records) + 1
            row = None
            if one.json is None:
                records.append(TableRecord(one.key, version, now, deleted=True))
            else:
                row = Row(one.key, one.json, version, now, one.expires_at)
                data = msgspec.Raw(one.json)
                records.append(TableRecord(one.key, version, now, data, one.expires_at))
            changed[one.key] = row
            answers.append(row)
        return Decision(records, answers)


def _expired(row: _Kept, now: str) -> bool:
    return row.expires_at is not None and row.expires_at <= now


def _expect(one: Operation, current: Row | None, number: int) -> None:
    version = 0 if current is None else current.version
    if one.if_version is not None and one.if_version != version:
        raise PreconditionFailed(
            f"row {one.key!r} is at version {version}, not {one.if_version}",
            expected=str(one.if_version),
            current=str(version),
            operation=number,
        )
