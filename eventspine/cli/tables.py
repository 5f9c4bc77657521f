"""`eventspine tables`: rows of tables, read and written."""

from __future__ import annotations

import sys
from urllib.parse import quote

import anyio
import click

from eventspine.cli.store_access import open_stores, print_pages
from eventspine.cli.where import Where, where_options


@click.group()
def tables() -> None:
    """Read and write rows of tables, one JSON object a line."""


def _rows(table: str, key: str | None = None) -> str:
    path = f"/v1/tables/{quote(table, safe='')}/rows"
    return path if key is None else f"{path}/{quote(key, safe='')}"


@tables.command("put")
@click.argument("table")
@click.argument("key")
@click.argument("data", default="-")
@click.option("--version", type=click.IntRange(0), help="Only if the row is there in this version.")
@click.option("--ttl", type=float, metavar="SECONDS", help="The row goes after so long.")
@where_options
def put_row(
    where: Where, table: str, key: str, data: str, version: int | None, ttl: float | None
) -> None:
    """Write a row: DATA is JSON, or - to read it from standard input.

    With --version 0 only if there is no such row.
    """
    content = sys.stdin.buffer.read() if data == "-" else data.encode()
    headers: dict[str, str] = {}
    if version is not None:
        headers = {"if-match": f'"{version}"'} if version else {"if-none-match": "*"}

    async def run() -> bytes:
        async with open_stores(where) as stores:
            params = {"ttl_s": ttl}
            address = _rows(table, key)
            answer = await stores.ask(
                "PUT", address, params=params, headers=headers, content=content
            )
            return answer.content

    click.echo(anyio.run(run))


@tables.command("get")
@click.argument("table")
@click.argument("key")
@where_options
def get_row(where: Where, table: str, key: str) -> None:
    """Print a row with its version."""

    async def run() -> bytes:
        async with open_stores(where) as stores:
            return (await stores.ask("GET", _rows(table, key))).content

    click.echo(anyio.run(run))


@tables.command("delete")
@click.argument("table")
@click.argument("key")
@where_options
def delete_row(where: Where, table: str, key: str) -> None:
    """Delete a row."""

    async def run() -> None:
        async with open_stores(where) as stores:
            await stores.ask("DELETE", _rows(table, key))

    anyio.run(run)


@tables.command("list")
@click.argument("table")
@click.option("--prefix", default="", help="Only keys that begin so.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@where_options
def list_rows(where: Where, table: str, prefix: str, limit: int | None) -> None:
    """Print the rows of TABLE in key order."""
    anyio.run(print_pages, where, _rows(table), "rows", prefix, limit)
