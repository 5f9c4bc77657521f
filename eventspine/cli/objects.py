"""`eventspine objects`: objects, read and written."""

from __future__ import annotations

import mimetypes
from typing import BinaryIO

import anyio
import click

from eventspine.cli.object_put import PART_BYTES, Put, at, put
from eventspine.cli.store_access import open_stores, print_pages
from eventspine.cli.where import Where, where_options

_OCTETS = "application/octet-stream"


@click.group()
def objects() -> None:
    """Read and write objects: bytes of any kind by key."""


@objects.command("put")
@click.argument("key")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--type", "content_type", help="Media type; guessed from KEY when left out.")
@click.option("--new", is_flag=True, help="Only if there is no object with this key.")
@click.option("--etag", help="Only in place of the content with this etag.")
@click.option(
    "--part-bytes",
    type=click.IntRange(1),
    default=PART_BYTES,
    show_default=True,
    help="What is longer is sent in parts of so many bytes, and goes on where it was cut off.",
)
@where_options
def put_object(
    where: Where,
    key: str,
    file: BinaryIO,
    content_type: str | None,
    new: bool,
    etag: str | None,
    part_bytes: int,
) -> None:
    """Store FILE, or standard input, under KEY; prints what was stored."""
    conditions = {}
    if new:
        conditions["if-none-match"] = "*"
    if etag is not None:
        conditions["if-match"] = f'"{etag}"'
    kind = content_type or mimetypes.guess_type(key)[0] or _OCTETS

    async def run() -> bytes:
        async with open_stores(where) as stores:
            return await put(stores, Put(key, kind, conditions, part_bytes), file)

    click.echo(anyio.run(run))


@objects.command("get")
@click.argument("key")
@click.argument("file", type=click.File("wb"), default="-")
@where_options
def get_object(where: Where, key: str, file: BinaryIO) -> None:
    """Write the bytes of an object to FILE, or standard output."""

    async def run() -> bytes:
        async with open_stores(where) as stores:
            return (await stores.ask("GET", at(key))).content

    file.write(anyio.run(run))


@objects.command("delete")
@click.argument("key")
@where_options
def delete_object(where: Where, key: str) -> None:
    """Delete an object."""

    async def run() -> None:
        async with open_stores(where) as stores:
            await stores.ask("DELETE", at(key))

    anyio.run(run)


@objects.command("list")
@click.option("--prefix", default="", help="Only keys that begin so.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@where_options
def list_objects(where: Where, prefix: str, limit: int | None) -> None:
    """Print the objects in key order, one JSON object a line."""
    anyio.run(print_pages, where, "/v1/objects", "objects", prefix, limit)


@objects.command("uploads")
@click.option("--prefix", default="", help="Only keys that begin so.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@where_options
def list_uploads(where: Where, prefix: str, limit: int | None) -> None:
    """Print the open uploads in parts, one JSON object a line."""
    anyio.run(print_pages, where, "/v1/uploads", "uploads", prefix, limit)


@objects.command("abort")
@click.argument("key")
@click.argument("upload_id")
@where_options
def abort_upload(where: Where, key: str, upload_id: str) -> None:
    """End an open upload and delete its parts."""

    async def run() -> None:
        async with open_stores(where) as stores:
            await stores.ask("DELETE", at(key, "uploads", upload_id))

    anyio.run(run)
