"""`eventspine routes choices`, `choose`, `give-back`: what a tenant may do with its own routes."""

from __future__ import annotations

from typing import Any

import anyio
import click
import orjson

from eventspine.cli.output import note, print_table
from eventspine.cli.route_options import json_option, key_options, reason_option
from eventspine.cli.store_access import open_stores
from eventspine.cli.where import Where, where_options

_ADDRESS = "/v1/tenant/routes"
_revision_option = click.option(
    "--revision", type=click.IntRange(1), help="Only if the route is still at this revision."
)


def _asked(where: Where, method: str, path: str, revision: int | None = None, **body: Any) -> Any:
    """The answer in the name of the context, as JSON; None when it has no body."""
    headers = {} if revision is None else {"if-match": f'"{revision}"'}
    content = orjson.dumps(body) if body else None

    async def run() -> Any:
        async with open_stores(where) as stores:
            answer = await stores.ask(method, path, headers=headers, content=content)
            return orjson.loads(answer.content) if answer.content else None

    return anyio.run(run)


@click.command("choices")
@where_options
@json_option
def route_choices(where: Where, as_json: bool) -> None:
    """How the scope of the context is served, and the declared backends it may choose."""
    found = _asked(where, "GET", _ADDRESS)
    if as_json:
        click.echo(orjson.dumps(found))
        return
    rows = [
        (one["resource_kind"], one["backend"], one["state"], ", ".join(one["choices"]))
        for one in found["routes"]
    ]
    print_table(None, ("kind", "backend", "state", "choices"), rows)
    if not found["editable"]:
        note("routing.tenant_editable is off: nothing can be chosen")


@click.command("choose")
@click.argument("backend")
@key_options
@_revision_option
@reason_option
def choose_route(
    where: Where, backend: str, kind: str, revision: int | None, reason: str | None
) -> None:
    """Have BACKEND, one of the choices, serve the scope of the context. No data is moved."""
    body = {"backend": backend, **({} if reason is None else {"reason": reason})}
    found = _asked(where, "PUT", f"{_ADDRESS}/{kind}", revision, **body)
    click.echo(f"{kind} -> {found['backend']}: {found['state']}, revision {found['revision']}")


@click.command("give-back")
@key_options
@_revision_option
def give_route_back(where: Where, kind: str, revision: int | None) -> None:
    """Delete what was chosen: the operator's route serves the scope again."""
    _asked(where, "DELETE", f"{_ADDRESS}/{kind}", revision)
    click.echo(f"{kind} given back")


COMMANDS = (route_choices, choose_route, give_route_back)
