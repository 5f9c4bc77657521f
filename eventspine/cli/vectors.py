"""`eventspine vectors`: collections of vectors, written and searched."""

from __future__ import annotations

import sys
from typing import Any

import anyio
import click
import msgspec
import orjson

from eventspine.cli.output import note
from eventspine.cli.store_access import open_stores
from eventspine.cli.where import Where, where_options
from eventspine.client.stores.asking import address
from eventspine.contracts.errors import InvalidJson

_BATCH_POINTS = 500
_METRICS = ("cosine", "l2", "dot")


@click.group()
def vectors() -> None:
    """Write vectors and search them, one JSON object a line."""


def _at(collection: str, *more: str) -> str:
    return address("vectors", collection, *more)


@vectors.command("create")
@click.argument("collection")
@click.argument("dimensions", type=click.IntRange(1))
@click.option("--metric", type=click.Choice(_METRICS), default="cosine", show_default=True)
@where_options
def create(where: Where, collection: str, dimensions: int, metric: str) -> None:
    """Make a collection of vectors of DIMENSIONS numbers each."""
    content = orjson.dumps({"dimensions": dimensions, "metric": metric})

    async def run() -> bytes:
        async with open_stores(where) as stores:
            return (await stores.ask("PUT", _at(collection), content=content)).content

    click.echo(anyio.run(run))


@vectors.command("upsert")
@click.argument("collection")
@click.argument("points", default="-")
@where_options
def upsert(where: Where, collection: str, points: str) -> None:
    """Write points: POINTS is one as JSON, or - to read one a line from standard input.

    A point is {"id": "a", "vector": [1, 0], "metadata": {"lang": "en"}}. Lines are written in
    batches of 500; what stood before a bad one may be in.
    """
    lines = sys.stdin.buffer.read().splitlines() if points == "-" else [points.encode()]
    parts = [_line(raw, number) for number, raw in enumerate(lines, 1) if raw.strip()]

    async def run() -> None:
        async with open_stores(where) as stores:
            for start in range(0, len(parts), _BATCH_POINTS):
                batch = {"points": parts[start : start + _BATCH_POINTS]}
                content = msgspec.json.encode(batch)
                await stores.ask("POST", _at(collection, "points"), content=content)

    anyio.run(run)
    note(f"{len(parts)} points in {collection}")


def _line(raw: bytes, number: int) -> msgspec.Raw:
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(f"line {number}: {error}") from None
    return msgspec.Raw(raw)


@vectors.command("search")
@click.argument("collection")
@click.argument("vector")
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="How many.")
@click.option("--filter", "stated", help='As \'{"lang": "en", "year": {"gte": 2020}}\'.')
@click.option("--exact", is_flag=True, help="Look at every point, however many there are.")
@where_options
def search(
    where: Where, collection: str, vector: str, k: int, stated: str | None, exact: bool
) -> None:
    """Print the points nearest to VECTOR, a JSON array, nearest first."""
    asked: dict[str, Any] = {"vector": _json(vector, "VECTOR"), "k": k, "exact": exact}
    if stated is not None:
        asked["filter"] = _json(stated, "--filter")

    async def run() -> None:
        async with open_stores(where) as stores:
            content = orjson.dumps(asked)
            answer = await stores.ask("POST", _at(collection, "search"), content=content)
            found = answer.json()
            for result in found["results"]:
                click.echo(orjson.dumps(result))
            if not found["exact"]:
                note(f"approximate, by {found['engine']}; --exact looks at every point")

    anyio.run(run)


def _json(text: str, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(f"{what} is not JSON: {error}") from None


@vectors.command("count")
@click.argument("collection")
@where_options
def count(where: Where, collection: str) -> None:
    """Print how many points COLLECTION holds."""

    async def run() -> int:
        async with open_stores(where) as stores:
            found: int = (await stores.ask("GET", _at(collection))).json()["count"]
            return found

    click.echo(anyio.run(run))


@vectors.command("index")
@click.argument("collection")
@click.option("--rebuild", is_flag=True, help="Throw it away; it is built anew if it is needed.")
@where_options
def index(where: Where, collection: str, rebuild: bool) -> None:
    """Print how far the approximate index of COLLECTION is."""

    async def run() -> bytes:
        async with open_stores(where) as stores:
            if rebuild:
                await stores.ask("DELETE", _at(collection, "index"))
            return (await stores.ask("GET", _at(collection, "index"))).content

    click.echo(anyio.run(run))
