"""`eventspine metrics`: points in; points, windows and pictures out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import click
import orjson

from eventspine.cli.metrics_picture import draw, groups_of, of_points, write_png
from eventspine.cli.output import note
from eventspine.cli.store_access import open_stores
from eventspine.cli.where import Where, named_values, where_options
from eventspine.client.stores.asking import address
from eventspine.contracts.metrics import FILLS, TIERS, Number, checked_value


@click.group()
def metrics() -> None:
    """Ingest metrics, and see what they add up to."""


def _at(metric: str, *what: str) -> str:
    return address("metrics", metric, *what)


def _tag_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag; may be repeated."
    )(command)


def _range_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--start` and `--end`."""
    text = "ISO 8601 with a zone, or seconds since 1970."
    command = click.option("--end", metavar="TIME", help=f"Before then. {text}")(command)
    return click.option("--start", metavar="TIME", help=f"From then on. {text}")(command)


def _window_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What `aggregate` and `plot` ask for."""
    tiers = click.Choice(["auto", *TIERS])
    command = click.option(
        "--group-by",
        multiple=True,
        metavar="TAG",
        help="Apart for each value of the tag; may be repeated.",
    )(command)
    command = click.option("--tier", type=tiers, default="auto", help="What is read.")(command)
    command = click.option("--step", metavar="SECONDS", help="Length of a window.")(command)
    command = click.option(
        "--agg", default="avg", show_default=True, help="sum, avg, min, max, count, last, rate, p99"
    )(command)
    return _range_options(_tag_option(command))


@metrics.command("ingest")
@click.argument("metric")
@click.argument("value")
@_tag_option
@click.option("--source", metavar="ID", help="Who measured it.")
@click.option("--ts", metavar="TIME", help="When, as ISO 8601 with a zone; now when left out.")
@where_options
def ingest(
    where: Where,
    metric: str,
    value: str,
    tags: tuple[str, ...],
    source: str | None,
    ts: str | None,
) -> None:
    """Store a value. One below zero comes behind --, as in: ingest METRIC -- -2."""
    tagged = named_values(tags, "--tag")
    point = {"value": _number(value), "tags": tagged, "source": source, "ts": ts}

    async def run() -> Any:
        async with open_stores(where) as stores:
            content = orjson.dumps(point)
            return (await stores.ask("POST", _at(metric), content=content)).json()

    _print_points(anyio.run(run)["points"])


@metrics.command("query")
@click.argument("metric")
@_tag_option
@_range_options
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The newest.")
@click.option(
    "--downsample",
    type=click.IntRange(3),
    metavar="N",
    help="N points that look like all of them in a chart, instead of the newest.",
)
@where_options
def query(
    where: Where,
    metric: str,
    tags: tuple[str, ...],
    limit: int,
    downsample: int | None,
    **span: str | None,
) -> None:
    """Print points as they came, one JSON object a line."""
    params = {**span, "tags": _selector(tags), "limit": limit, "downsample": downsample}
    _print_points(anyio.run(_asked, where, _at(metric), params)["points"])


@metrics.command("latest")
@click.argument("metric")
@_tag_option
@where_options
def latest(where: Where, metric: str, tags: tuple[str, ...]) -> None:
    """Print the newest point."""
    params = {"tags": _selector(tags)}
    _print_points([anyio.run(_asked, where, _at(metric, "latest"), params)])


@metrics.command("aggregate")
@click.argument("metric")
@_window_options
@click.option("--fill", type=click.Choice(FILLS), default="none", show_default=True)
@where_options
def aggregate(where: Where, metric: str, **options: Any) -> None:
    """Print windows, one JSON object a line."""
    found = anyio.run(_windows, where, metric, options)
    for window in found.get("windows", ()):
        click.echo(orjson.dumps(window))
    for group in found.get("groups", ()):
        for window in group["windows"]:
            click.echo(orjson.dumps({"tags": group["tags"], **window}))
    if not found["complete"]:
        note(f"the tier {found['tier']} has not everything since {found['start']} any more")


@metrics.command("plot")
@click.argument("metric")
@_window_options
@click.option(
    "--png",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a picture instead of drawing here.",
)
@click.option(
    "--downsample",
    type=click.IntRange(3),
    metavar="N",
    help="With --png: N points as they came that look like all of them, instead of windows.",
)
@where_options
def plot(
    where: Where, metric: str, png: Path | None, downsample: int | None, **options: Any
) -> None:
    """Draw windows: here, or with --png into a file; with --group-by each group apart."""
    if downsample is not None:
        if png is None:
            raise click.UsageError("--downsample goes with --png")
        params = {name: options[name] for name in ("start", "end")} | {"downsample": downsample}
        params["tags"] = _selector(options["tags"])
        points = anyio.run(_asked, where, _at(metric), params)["points"]
        write_png(of_points(metric, points), png)
        note(f"{len(points)} points in {png}")
        return
    found = anyio.run(_windows, where, metric, {**options, "fill": "null"})
    if png is None:
        click.echo(draw(found))
    else:
        write_png(found, png)
        windows = [group["windows"] for group in groups_of(found)]
        note(f"{sum(map(len, windows))} windows in {png}")


async def _asked(where: Where, address: str, params: Mapping[str, Any]) -> Any:
    async with open_stores(where) as stores:
        return (await stores.ask("GET", address, params=params)).json()


async def _windows(where: Where, metric: str, options: Mapping[str, Any]) -> Any:
    names = ",".join(quote(one, safe="") for one in options.get("group_by", ()))
    params = {**options, "tags": _selector(options["tags"]), "group_by": names or None}
    return await _asked(where, _at(metric, "aggregate"), params)


def _print_points(points: list[Any]) -> None:
    for point in points:
        click.echo(orjson.dumps(point))


def _number(text: str) -> Number:
    try:
        return checked_value(int(text) if text.lstrip("+-").isdigit() else float(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number", param_hint="VALUE") from None


def _selector(given: tuple[str, ...]) -> str | None:
    """As `tags` of a query string has it."""
    pairs = named_values(given, "--tag").items()
    return ",".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in pairs) or None
