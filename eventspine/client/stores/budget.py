"""The budget ledger of a server. The same operations as BudgetStoreService.

Rule: every spend has an id that names it for ever, so that a repeated one is the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from eventspine.client.stores.asking import JSON, AskStore, address, decoded, encoded
from eventspine.contracts.budget import Balance, Crossed, Entry, EntryPage


class _Entry(msgspec.Struct):
    kind: str
    id: str
    accounts: tuple[str, ...]
    unit: str
    posted: int
    pending: int
    at: str
    charged_at: str
    sequence: int
    timeout_s: float | None = None
    expires_at: str | None = None
    reason: str | None = None
    crossed: tuple[Crossed, ...] = ()

    @property
    def entry(self) -> Entry:
        return Entry(**{name: getattr(self, name) for name in self.__struct_fields__})


class _Page(msgspec.Struct):
    entries: list[_Entry]
    next: int | None


class _Balance(msgspec.Struct):
    account: str
    unit: str
    window: str
    period: str
    posted: int
    pending: int
    limit: int | None
    soft: int | None
    available: int | None


class ClientBudget:
    """Made by `EventspineClient.budget`. Left out of a call, unit and timeout are the server's."""

    def __init__(self, ask: AskStore) -> None:
        self._ask = ask

    async def set_limit(
        self, account: str, window: str, amount: int | None, soft: int | None = None, **more: Any
    ) -> None:
        """Say what an account may use in a window: hour, day, month or total.

        Args:
            more: `unit`, `thresholds`.
        """
        body = {"account": account, "window": window, "amount": amount, "soft": soft, **more}
        path = address("budget", "limits")
        await self._ask("PUT", path, content=encoded(body), headers=[JSON])

    async def reserve(
        self,
        id: str,
        accounts: str | Sequence[str],
        amount: int,
        timeout_s: float | None = None,
        *,
        unit: str | None = None,
    ) -> Entry:
        """Set an amount aside, until it is committed, released, or `timeout_s` has passed.

        Raises:
            BudgetExceeded: a hard limit has no room.
            BudgetConflict: the id is taken by another spend.
        """
        return await self._spend("reservations", id, accounts, amount, unit, timeout_s=timeout_s)

    async def commit(self, id: str, amount: int | None = None) -> Entry:
        """Post what was reserved, or less of it; the rest returns.

        Raises:
            ReservationNotFound, ReservationEnded, BudgetConflict.
        """
        content = encoded({} if amount is None else {"amount": amount})
        path = address("budget", "reservations", id, "commit")
        return _entry(await self._ask("POST", path, content=content, headers=[JSON]))

    async def release(self, id: str) -> Entry:
        """Return all of what was reserved. Raises ReservationNotFound, ReservationEnded."""
        return _entry(await self._ask("POST", address("budget", "reservations", id, "release")))

    async def record(
        self, id: str, accounts: str | Sequence[str], amount: int, *, unit: str | None = None
    ) -> Entry:
        """Spend at once. Raises as `reserve` does."""
        return await self._spend("records", id, accounts, amount, unit)

    async def adjust(
        self,
        id: str,
        accounts: str | Sequence[str],
        amount: int,
        reason: str,
        *,
        unit: str | None = None,
    ) -> Entry:
        """Correct what was spent, up or down, and say why."""
        return await self._spend("adjustments", id, accounts, amount, unit, reason=reason)

    async def balance(
        self, account: str, window: str = "total", *, unit: str | None = None
    ) -> Balance:
        """What an account has used in the present period of a window, and the least limit there."""
        params = {"account": account, "window": window, "unit": unit}
        found = await self._ask("GET", address("budget", "balance"), params=params)
        return Balance(*msgspec.structs.astuple(decoded(found, _Balance)))

    async def entries(
        self, account: str | None = None, after: int = 0, limit: int | None = None
    ) -> EntryPage:
        """Entries in ledger order; `next` is the `after` of the page behind them."""
        params = {"account": account, "after": after, "limit": limit}
        page = decoded(await self._ask("GET", address("budget", "entries"), params=params), _Page)
        return EntryPage([one.entry for one in page.entries], page.next)

    async def _spend(
        self,
        what: str,
        id: str,
        accounts: str | Sequence[str],
        amount: int,
        unit: str | None,
        **more: Any,
    ) -> Entry:
        named = accounts if isinstance(accounts, str) else list(accounts)
        body = {"id": id, "accounts": named, "amount": amount, "unit": unit, **more}
        stated = {name: value for name, value in body.items() if value is not None}
        path = address("budget", what)
        return _entry(await self._ask("POST", path, content=encoded(stated), headers=[JSON]))


def _entry(response: Any) -> Entry:
    return decoded(response, _Entry).entry
