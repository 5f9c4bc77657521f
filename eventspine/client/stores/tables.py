"""The tables of a server: rows by key. The same operations as TabularStoreService."""

from __future__ import annotations

from typing import Any

import msgspec

from eventspine.client.stores.asking import JSON, AskStore, address, decoded, encoded, if_version
from eventspine.contracts.errors import RowNotFound
from eventspine.contracts.rows import Row, RowPage


class _Row(msgspec.Struct):
    key: str
    data: msgspec.Raw
    version: int
    updated_at: str
    expires_at: str | None = None

    @property
    def row(self) -> Row:
        return Row(self.key, bytes(self.data), self.version, self.updated_at, self.expires_at)


class _Page(msgspec.Struct):
    rows: list[_Row]
    next: str | None


class ClientTables:
    """Made by `EventspineClient.tables`."""

    def __init__(self, ask: AskStore) -> None:
        self._ask = ask

    async def upsert(
        self,
        table_name: str,
        key: str,
        data: Any,
        *,
        if_version: int | None = None,
        ttl_s: float | None = None,
    ) -> Row:
        """Write a row, whatever was there. `if_version`: only if it is at that; 0: is not there.

        Raises:
            PreconditionFailed: it is at another version.
            ServerUnreachable, OutcomeUnknown: with `if_version` it may be written or not.
        """
        response = await self._ask(
            "PUT",
            _path(table_name, key),
            params={"ttl_s": ttl_s},
            content=encoded(data),
            headers=[JSON, *_condition(if_version)],
            is_repeatable=if_version is None,
        )
        return decoded(response, _Row).row

    async def get_row(self, table_name: str, key: str) -> Row | None:
        """A row with its version and times, or None."""
        try:
            return decoded(await self._ask("GET", _path(table_name, key)), _Row).row
        except RowNotFound:
            return None

    async def get(self, table_name: str, key: str) -> Any:
        """The data of a row, or None if there is no such row."""
        row = await self.get_row(table_name, key)
        return None if row is None else row.data

    async def delete(self, table_name: str, key: str, *, if_version: int | None = None) -> bool:
        """Delete a row. Answers whether there was one, as far as the last try can tell."""
        try:
            await self._ask(
                "DELETE",
                _path(table_name, key),
                headers=_condition(if_version),
                is_repeatable=if_version is None,
            )
        except RowNotFound:
            return False
        return True

    async def page(
        self,
        table_name: str,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> RowPage:
        """A page of rows in key order; `next` is the `after` of the page behind it."""
        params = {"prefix": prefix, "after": after, "limit": limit}
        response = await self._ask("GET", address("tables", table_name, "rows"), params=params)
        page = decoded(response, _Page)
        return RowPage([one.row for one in page.rows], page.next)

    async def list_by_prefix(self, table_name: str, prefix: str = "") -> list[Row]:
        """Every row whose key begins with `prefix`, in key order."""
        page = await self.page(table_name, prefix)
        rows = page.rows
        while page.next is not None:
            page = await self.page(table_name, prefix, after=page.next)
            rows += page.rows
        return rows


_condition = if_version


def _path(table_name: str, key: str) -> str:
    return address("tables", table_name, "rows", key)
