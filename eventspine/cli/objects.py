"""`eventspine objects`: objects, read and written."""

from __future__ import annotations

import hashlib
import mimetypes
from typing import BinaryIO
from urllib.parse import quote

import anyio
import click
import orjson

from eventspine.cli.output import note
from eventspine.cli.store_access import open_stores
from eventspine.cli.where import Where, where_options

_PAGE_OBJECTS = 1000
_OCTETS = "application/octet-stream"


@click.group()
def objects() -> None:
    """Read and write objects: bytes of any kind by key."""


def _object(key: str) -> str:
    return f"/v1/objects/{quote(key, safe='')}"


@objects.command("put")
@click.argument("key")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--type", "content_type", help="Media type; guessed from KEY when left out.")
@click.option("--new", is_flag=True, help="Only if there is no object with this key.")
@click.option("--etag", help="Only in place of the content with this etag.")
@where_options
def put_object(
    where: Where,
    key: str,
    file: BinaryIO,
    content_type: str | None,
    new: bool,
    etag: str | None,
) -> None:
    """Store FILE, or standard input, under KEY; prints what was stored."""
    content: bytes = file.read()
    headers = {
        "content-type": content_type or mimetypes.guess_type(key)[0] or _OCTETS,
        "x-object-sha256": hashlib.sha256(content).hexdigest(),
    }
    if new:
        headers["if-none-match"] = "*"
    if etag is not None:
        headers["if-match"] = f'"{etag}"'

    async def run() -> bytes:
        async with open_stores(where) as stores:
            answer = await stores.ask("PUT", _object(key), headers=headers, content=content)
            return answer.content

    click.echo(anyio.run(run))


@objects.command("get")
@click.argument("key")
@click.argument("file", type=click.File("wb"), default="-")
@where_options
def get_object(where: Where, key: str, file: BinaryIO) -> None:
    """Write the bytes of an object to FILE, or standard output."""

    async def run() -> bytes:
        async with open_stores(where) as stores:
            return (await stores.ask("GET", _object(key))).content

    file.write(anyio.run(run))


@objects.command("delete")
@click.argument("key")
@where_options
def delete_object(where: Where, key: str) -> None:
    """Delete an object."""

    async def run() -> None:
        async with open_stores(where) as stores:
            await stores.ask("DELETE", _object(key))

    anyio.run(run)


@objects.command("list")
@click.option("--prefix", default="", help="Only keys that begin so.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@where_options
def list_objects(where: Where, prefix: str, limit: int | None) -> None:
    """Print the objects in key order, one JSON object a line."""

    async def run() -> None:
        left, after = limit, None
        async with open_stores(where) as stores:
            while left is None or left > 0:
                wanted = _PAGE_OBJECTS if left is None else min(left, _PAGE_OBJECTS)
                params = {"prefix": prefix, "after": after, "limit": wanted}
                page = (await stores.ask("GET", "/v1/objects", params=params)).json()
                for one in page["objects"]:
                    click.echo(orjson.dumps(one))
                left = None if left is None else left - len(page["objects"])
                after = page["next"]
                if after is None:
                    return
        note(f"there is more behind {after}")

    anyio.run(run)
