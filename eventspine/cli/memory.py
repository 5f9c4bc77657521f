"""`eventspine memory`: session memory, read and written."""

from __future__ import annotations

from typing import Any

import anyio
import click

from eventspine.cli.input import stated
from eventspine.cli.store_access import if_version, open_stores, print_pages
from eventspine.cli.where import Where, where_options
from eventspine.client.stores.asking import address

_namespace = click.option(
    "--namespace", default="session", show_default=True, help="Whose entries."
)


@click.group()
def memory() -> None:
    """Read and write session memory: entries that live for a while."""


def _entries(namespace: str, *more: str) -> str:
    return address("memory", namespace, "entries", *more)


def _ask(where: Where, method: str, path: str, **more: Any) -> bytes:
    async def run() -> bytes:
        async with open_stores(where) as stores:
            return (await stores.ask(method, path, **more)).content

    return anyio.run(run)


@memory.command("set")
@click.argument("key")
@click.argument("value", default="-")
@click.option("--ttl", type=float, metavar="SECONDS", help="It lives for so long.")
@click.option("--sliding", is_flag=True, help="Every get lets it live on for --ttl.")
@click.option("--version", type=click.IntRange(0), help="Only if it is there in this version.")
@_namespace
@where_options
def set_entry(
    where: Where,
    namespace: str,
    key: str,
    value: str,
    ttl: float | None,
    sliding: bool,
    version: int | None,
) -> None:
    """Set an entry: VALUE is JSON, or - to read it from standard input.

    With --version 0 only if there is no such entry.
    """
    content = stated(value)
    if sliding and ttl is None:
        raise click.UsageError("--sliding needs --ttl")
    params = {"ttl_s": None if sliding else ttl, "slide_s": ttl if sliding else None}
    one, headers = _entries(namespace, key), if_version(version)
    click.echo(_ask(where, "PUT", one, params=params, headers=headers, content=content))


@memory.command("get")
@click.argument("key")
@_namespace
@where_options
def get_entry(where: Where, namespace: str, key: str) -> None:
    """Print an entry with its version; one that slides lives on."""
    click.echo(_ask(where, "GET", _entries(namespace, key)))


@memory.command("ttl")
@click.argument("key")
@_namespace
@where_options
def ttl_of_entry(where: Where, namespace: str, key: str) -> None:
    """Print the seconds an entry has left; null if it stays."""
    click.echo(_ask(where, "GET", _entries(namespace, key, "ttl")))


@memory.command("touch")
@click.argument("key")
@click.option("--ttl", type=float, metavar="SECONDS", help="For so long; without it, it stays.")
@_namespace
@where_options
def touch_entry(where: Where, namespace: str, key: str, ttl: float | None) -> None:
    """Let an entry live on from now."""
    click.echo(_ask(where, "POST", _entries(namespace, key, "touch"), params={"ttl_s": ttl}))


@memory.command("incr")
@click.argument("key")
@click.option("--by", type=int, default=1, show_default=True, help="How much is added.")
@click.option("--ttl", type=float, metavar="SECONDS", help="For an entry that begins with this.")
@_namespace
@where_options
def increment_entry(where: Where, namespace: str, key: str, by: int, ttl: float | None) -> None:
    """Add to an integer."""
    params = {"by": by, "ttl_s": ttl}
    click.echo(_ask(where, "POST", _entries(namespace, key, "incr"), params=params))


@memory.command("delete")
@click.argument("key")
@_namespace
@where_options
def delete_entry(where: Where, namespace: str, key: str) -> None:
    """Delete an entry."""
    _ask(where, "DELETE", _entries(namespace, key))


@memory.command("list")
@click.option("--prefix", default="", help="Only keys that begin so.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@_namespace
@where_options
def list_entries(where: Where, namespace: str, prefix: str, limit: int | None) -> None:
    """Print the entries in key order, one JSON object a line."""
    anyio.run(print_pages, where, _entries(namespace), "entries", prefix, limit)
