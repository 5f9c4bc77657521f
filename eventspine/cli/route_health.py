"""`eventspine routes health`: what serves each route, and whether it can be reached."""

from __future__ import annotations

from typing import Any

import anyio
import click
import orjson

from eventspine.cli.output import print_table
from eventspine.cli.route_options import json_option
from eventspine.cli.store_access import open_stores
from eventspine.cli.where import Where, where_options
from eventspine.contracts.route import RouteKey

_COLUMNS = ("route", "state", "circuit", "backend", "failures", "last ok", "next try", "last error")


@click.command("health")
@where_options
@json_option
def routes_health(where: Where, as_json: bool) -> None:
    """How every route is served, or those of the context options given.

    Exit code 1 when a route is stale or the circuit of its backend is not closed.
    """
    wanted = {name: value for name, value in where.stated.items() if name in RouteKey._fields}

    async def run() -> Any:
        async with open_stores(where) as stores:
            answer = await stores.ask("GET", "/v1/routes", params=wanted)
            return orjson.loads(answer.content)["routes"]

    found = anyio.run(run)
    if as_json:
        for route in found:
            click.echo(orjson.dumps({"route": _named(route), **route["health"]}))
    else:
        print_table(None, _COLUMNS, [_row(route) for route in found])
    if not all(map(_is_well, found)):
        raise SystemExit(1)


def _named(route: dict[str, Any]) -> str:
    return "/".join(route[part] for part in RouteKey._fields)


def _is_well(route: dict[str, Any]) -> bool:
    health = route["health"]
    circuit = health["circuit"]
    return health["state"] != "stale" and (circuit is None or circuit["state"] == "closed")


def _row(route: dict[str, Any]) -> tuple[object, ...]:
    health = route["health"]
    circuit = health["circuit"] or {}
    return (
        _named(route),
        health["state"],
        circuit.get("state"),
        circuit.get("backend"),
        circuit.get("failures"),
        circuit.get("last_ok_at"),
        circuit.get("next_try_at"),
        health["reason"] or circuit.get("last_error"),
    )
