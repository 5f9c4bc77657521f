"""A table of the tabular store: rows by key, versions, expiry. Pure.

Rules: `version` counts the changes of the table, so that a row that was deleted and written again
never has a version it had before. Times are ISO 8601 in UTC with milliseconds, which compare as
text. A row that has expired is not there; the next compaction forgets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from eventspine.actors.states.sorted_keys import SortedKeys
from eventspine.contracts.errors import PreconditionFailed
from eventspine.contracts.journal import Decision, State
from eventspine.contracts.rows import Operation, Row, RowPage

NOTHING = msgspec.Raw(b"null")


class TableRecord(msgspec.Struct, omit_defaults=True):
    """A row was written, or deleted. Without a key: only the version counts."""

    key: str
    version: int
    updated_at: str
    data: msgspec.Raw = NOTHING
    expires_at: str | None = None
    deleted: bool = False


class _Kept(NamedTuple):
    json: bytes
    version: int
    updated_at: str
    expires_at: str | None


class Table(State[TableRecord]):
    record = TableRecord

    def __init__(self) -> None:
        self.version = 0
        self._rows: dict[str, _Kept] = {}
        self._keys = SortedKeys()
        self._latest = ""

    # --- what it adds up to ---

    def apply(self, record: TableRecord, sequence: int) -> None:
        self.version = max(self.version, record.version)
        self._latest = max(self._latest, record.updated_at)
        if record.deleted:
            if self._rows.pop(record.key, None) is not None:
                self._keys.discard()
            return
        if record.key not in self._rows:
            self._keys.add(record.key)
        self._rows[record.key] = _Kept(
            bytes(record.data), record.version, record.updated_at, record.expires_at
        )

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

    # --- questions ---

    def get(self, key: str, now: str) -> Row | None:
        row = self._rows.get(key)
        return None if row is None or _expired(row, now) else Row(key, *row)

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
                yield Row(key, *row)

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
