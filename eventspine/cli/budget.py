"""`eventspine budget`: limits, spends and the ledger of a scope. Amounts are micro-units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import click
import orjson

from eventspine.cli.output import note
from eventspine.cli.store_access import open_stores
from eventspine.cli.where import Where, where_options
from eventspine.client.stores.asking import address
from eventspine.contracts.budget import UNIT, WINDOWS

_PAGE_ENTRIES = 1000
_window = click.Choice(WINDOWS)
_unit = click.option("--unit", default=UNIT, show_default=True, help="What is counted.")


def _held(*more: str) -> str:
    return address("budget", "reservations", *more)


@click.group()
def budget() -> None:
    """A usage ledger that cannot overspend. Amounts are whole numbers of micro-units."""


def _print(
    where: Where,
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
) -> None:
    """Ask, and print the answer as one line."""

    async def run() -> bytes:
        content = None if body is None else orjson.dumps(body)
        async with open_stores(where) as stores:
            return (await stores.ask(method, path, params=params, content=content)).content

    click.echo(anyio.run(run))


def _spend(id: str, accounts: tuple[str, ...], amount: int, **more: Any) -> dict[str, Any]:
    return {"id": id, "accounts": list(accounts), "amount": amount, **more}


@budget.command("limit")
@click.argument("account")
@click.argument("window", type=_window)
@click.argument("amount", type=click.IntRange(0), required=False)
@click.option("--soft", type=click.IntRange(0), help="Tell when so much is used.")
@_unit
@where_options
def set_limit(
    where: Where, account: str, window: str, amount: int | None, soft: int | None, unit: str
) -> None:
    """Say what ACCOUNT may use in a window. Without AMOUNT and --soft: no limit any more."""
    body = {"account": account, "window": window, "amount": amount, "soft": soft, "unit": unit}
    _print(where, "PUT", "/v1/budget/limits", body=body)


@budget.command("reserve")
@click.argument("id")
@click.argument("amount", type=click.IntRange(1))
@click.argument("accounts", nargs=-1, required=True)
@click.option("--timeout", type=float, metavar="SECONDS", help="It expires after so long.")
@_unit
@where_options
def reserve(
    where: Where,
    id: str,
    amount: int,
    accounts: tuple[str, ...],
    timeout: float | None,
    unit: str,
) -> None:
    """Set AMOUNT aside for ACCOUNTS, as acme/web/ann."""
    timed = {} if timeout is None else {"timeout_s": timeout}
    _print(where, "POST", _held(), body=_spend(id, accounts, amount, unit=unit, **timed))


@budget.command("commit")
@click.argument("id")
@click.argument("amount", type=click.IntRange(0), required=False)
@where_options
def commit(where: Where, id: str, amount: int | None) -> None:
    """Post what a reservation holds, or AMOUNT of it; the rest returns."""
    _print(where, "POST", _held(id, "commit"), body={"amount": amount})


@budget.command("release")
@click.argument("id")
@where_options
def release(where: Where, id: str) -> None:
    """Give back what a reservation holds."""
    _print(where, "POST", _held(id, "release"))


@budget.command("record")
@click.argument("id")
@click.argument("amount", type=click.IntRange(1))
@click.argument("accounts", nargs=-1, required=True)
@_unit
@where_options
def record(where: Where, id: str, amount: int, accounts: tuple[str, ...], unit: str) -> None:
    """Post AMOUNT in one step."""
    body = _spend(id, accounts, amount, unit=unit)
    _print(where, "POST", "/v1/budget/records", body=body)


@budget.command("adjust")
@click.argument("id")
@click.argument("amount", type=int)
@click.argument("accounts", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why; kept in the ledger.")
@_unit
@where_options
def adjust(
    where: Where, id: str, amount: int, accounts: tuple[str, ...], reason: str, unit: str
) -> None:
    """Correct what is posted by AMOUNT; put -- before a negative one."""
    body = _spend(id, accounts, amount, unit=unit, reason=reason)
    _print(where, "POST", "/v1/budget/adjustments", body=body)


@budget.command("balance")
@click.argument("account")
@click.argument("window", type=_window, default="total")
@_unit
@where_options
def balance(where: Where, account: str, window: str, unit: str) -> None:
    """Print what ACCOUNT has used in the present period of a window."""
    params = {"account": account, "window": window, "unit": unit}
    _print(where, "GET", "/v1/budget/balance", params=params)


@budget.command("limits")
@click.argument("account", required=False)
@where_options
def limits(where: Where, account: str | None) -> None:
    """Print what limits ACCOUNT, or all accounts, and whose limit it is, one a line."""

    async def run() -> None:
        async with open_stores(where) as stores:
            answer = await stores.ask("GET", "/v1/budget/limits", params={"account": account})
            for limit in answer.json()["limits"]:
                click.echo(orjson.dumps(limit))

    anyio.run(run)


@budget.command("entries")
@click.argument("account", required=False)
@click.option("--after", type=click.IntRange(0), default=0, help="Only behind this sequence.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@where_options
def entries(where: Where, account: str | None, after: int, limit: int | None) -> None:
    """Print the ledger, or what of it counts for ACCOUNT, one entry a line."""

    async def run() -> None:
        left, at = limit, after
        async with open_stores(where) as stores:
            while left is None or left > 0:
                wanted = _PAGE_ENTRIES if left is None else min(left, _PAGE_ENTRIES)
                params = {"account": account, "after": at, "limit": wanted}
                page = (await stores.ask("GET", "/v1/budget/entries", params=params)).json()
                for entry in page["entries"]:
                    click.echo(orjson.dumps(entry))
                left = None if left is None else left - len(page["entries"])
                if page["next"] is None:
                    return
                at = page["next"]
        note(f"there is more behind {at}")

    anyio.run(run)
