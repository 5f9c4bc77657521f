"""`eventspine tables`: rows of tables, read and written."""

from __future__ import annotations

import anyio
import click

from eventspine.cli.input import stated
from eventspine.cli.store_access import if_version, open_stores, print_pages
from eventspine.cli.where import Where, where_options
from eventspine.client.stores.asking import address


@click.group()
def tables() -> None:
    """Read and write rows of tables, one JSON object a line."""


def _rows(table: str, key: str | None = None) -> str:
    return address("tables", table, "rows", *([] if key is None else [key]))


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
    content = stated(data)

    async def run() -> bytes:
        async with open_stores(where) as stores:
            params, headers = {"ttl_s": ttl}, if_version(version)
            answer = await stores.ask(
                "PUT", _rows(table, key), params=params, headers=headers, content=content
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
