"""TabularStoreService: tables of rows by key. Source: FN-09 … FN-12, CLS-20, KIND-03.

    tables = spine.tables(context)
    await tables.upsert("policies", "p1", {"limit": 5})
    await tables.get("policies", "p1")                       # {"limit": 5}
    await tables.list_by_prefix("policies", "p")             # [Row(key="p1", …)]

A table comes into being with its first row. Answers tell what is on disk, and nothing that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson

from eventspine.actors.states.table import Table
from eventspine.contracts.context import RequestContext
from eventspine.contracts.entries import checked_ttl, later
from eventspine.contracts.errors import InvalidJson, InvalidRequest, TooLarge
from eventspine.contracts.ids import checked_id
from eventspine.contracts.journal import Decision
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.rows import Operation, Row, RowPage
from eventspine.services.audit_mutations import mutation
from eventspine.services.journals import Journals

A = TypeVar("A")


class TabularStoreService:
    """The tables of one scope. Made by `Spine.tables(context)`."""

    def __init__(self, context: RequestContext, journals: Journals, limits: Limits) -> None:
        self._context = context
        self._journals = journals
        self._limits = limits

    async def upsert(
        self,
        table_name: str,
        key: str,
        data: Any,
        *,
        if_version: int | None = None,
        ttl_s: float | None = None,
    ) -> Row:
        """Write a row, whatever was there; answers it as stored.

        Args:
            data: anything that is JSON.
            if_version: only if the row is at this version; 0: only if there is none.
            ttl_s: the row goes after so many seconds; None: it stays.

        Raises:
            PreconditionFailed: it is at another version, which `current` names.
        """
        return await self.upsert_json(
            table_name, key, encoded(data), if_version=if_version, ttl_s=ttl_s
        )

    async def upsert_json(
        self,
        table_name: str,
        key: str,
        json: bytes,
        *,
        if_version: int | None = None,
        ttl_s: float | None = None,
    ) -> Row:
        """`upsert` of data that is JSON text already and known to be well formed."""
        one = self.operation(key, json, if_version=if_version, ttl_s=ttl_s)
        (row,) = await self.write(table_name, [one])
        assert row is not None, "an upsert leaves a row"
        return row

    async def get(self, table_name: str, key: str) -> Any:
        """The data of a row, or None if there is no such row."""
        row = await self.get_row(table_name, key)
        return None if row is None else row.data

    async def get_row(self, table_name: str, key: str) -> Row | None:
        """A row with its version and times, or None."""
        checked_id(key, "key")
        now = self._journals.now()
        return await self._ask(table_name, lambda table: Decision((), table.get(key, now)))

    async def list_by_prefix(
        self, table_name: str, prefix: str = "", *, limit: int | None = None
    ) -> list[Row]:
        """Rows whose key begins with `prefix`, in key order: all of them, or the first `limit`."""
        rows: list[Row] = []
        after: str | None = None
        while limit is None or len(rows) < limit:
            wanted = None if limit is None else limit - len(rows)
            page = await self.page(table_name, prefix, after=after, limit=wanted)
            rows += page.rows
            after = page.next
            if after is None:
                break
        return rows

    async def page(
        self,
        table_name: str,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> RowPage:
        """A page of rows in key order; `next` is the `after` of the page behind it.

        Args:
            limit: at most so many rows; lowered to the operator's maximum.
        """
        limits = self._limits
        limit = limits.page_events_max if limit is None else min(limit, limits.page_events_max)
        if limit < 1:
            raise InvalidRequest("limit must be at least 1", parameter="limit")
        now = self._journals.now()
        return await self._ask(
            table_name,
            lambda table: Decision(
                (), table.page(prefix, after, limit, limits.page_bytes_max, now)
            ),
        )

    @mutation("tabular_store", "table.delete", "table_name", "key")
    async def delete(self, table_name: str, key: str, *, if_version: int | None = None) -> bool:
        """Delete a row. Answers whether there was one."""
        one = self.operation(key, None, if_version=if_version)

        def decide(table: Table) -> Decision[bool]:
            there = table.get(key, now) is not None
            return Decision(table.write([one], now).records, there)

        now = self._journals.now()
        return await self._ask(table_name, decide)

    @mutation("tabular_store", "table.write", "table_name", "operations")
    async def write(self, table_name: str, operations: Sequence[Operation]) -> list[Row | None]:
        """Several upserts and deletes of one table: all of them or none. See `operation`."""
        if len(operations) > self._limits.batch_events_max:
            raise TooLarge(
                f"{len(operations)} operations in one batch",
                limit="batch_events_max",
                maximum=self._limits.batch_events_max,
                actual=len(operations),
            )
        now = self._journals.now()
        return await self._ask(table_name, lambda table: table.write(operations, now))

    def operation(
        self,
        key: str,
        json: bytes | None,
        *,
        if_version: int | None = None,
        ttl_s: float | None = None,
    ) -> Operation:
        """One part of a batch: an upsert of JSON text, or with None a delete."""
        if if_version is not None and if_version < 0:
            raise InvalidRequest("if_version must be at least 0", parameter="if_version")
        expires_at = None if ttl_s is None else later(self._journals.now(), checked_ttl(ttl_s))
        return Operation(checked_id(key, "key"), json, if_version, expires_at)

    async def _ask(self, table_name: str, decide: Callable[[Table], Decision[A]]) -> A:
        name = checked_id(table_name, "table_name")
        return await self._journals.ask(ResourceKind.TABULAR_STORE, name, self._context, decide)


def encoded(data: Any) -> bytes:
    """JSON text of what a program hands over. Raises InvalidJson."""
    try:
        return orjson.dumps(data)
    except (TypeError, ValueError) as error:
        raise InvalidJson(f"the data is not JSON: {error}") from None
