"""`eventspine routes`: which backend holds which scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import click
import orjson

from eventspine.cli.access import Access, open_access
from eventspine.cli.import_env import import_env
from eventspine.cli.output import print_table
from eventspine.cli.route_health import routes_health
from eventspine.cli.route_options import (
    completed,
    json_option,
    key_options,
    reason_option,
    route_key,
    spec_of,
)
from eventspine.cli.route_registry import COMMANDS
from eventspine.cli.route_switch import switch_group
from eventspine.cli.store_access import open_stores
from eventspine.cli.system_routes import add_system_routes
from eventspine.cli.tenant_routes import COMMANDS as TENANT_COMMANDS
from eventspine.cli.where import Where, where_options
from eventspine.client.routes import route_path
from eventspine.contracts.route import ResourceRoute, RouteKey, RouteSpec

_COLUMNS = ("kind", "tenant", "env", "project", "mode", "backend", "config", "revision")


@click.group()
def routes() -> None:
    """List, read and change the routes of a root.

    A route says which backend holds one kind of store for one tenant, env, project and mode.
    The key is given by --kind, --tenant, --env, --project and --mode; what is left out of it
    is the lab default of the root. As tenant, env or project * stands for all of them; the
    most specific route serves.
    """


_MORE = (routes_health, import_env, switch_group, add_system_routes)
for _command in (*COMMANDS, *TENANT_COMMANDS, *_MORE):
    routes.add_command(_command)


def _backend_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        reason_option,
        click.option("--cost-notes", help="What it costs, for people."),
        click.option("--tier", help="How you sort this backend, as gold or archive."),
        click.option("--dry-run", is_flag=True, help="Try it, the backend too; change nothing."),
        click.option(
            "--config", "config_json", default="{}", metavar="JSON", help="Settings of the backend."
        ),
        click.option("--declared", help="A backend declared in settings.toml, by its name."),
        click.option("--backend", default="", help="Backend type, as filesystem or memory."),
    ):
        command = option(command)
    return command


_revision_option = click.option(
    "--revision", type=click.IntRange(1), help="Only if the route is still at this revision."
)


@routes.command("list")
@where_options
@json_option
def list_routes(where: Where, as_json: bool) -> None:
    """Every route, or those of the context options given."""

    async def run() -> None:
        async with open_access(where) as access:
            found = await access.routes.list()
        wanted = {k: v for k, v in where.stated.items() if k in RouteKey._fields}
        _show(
            [r for r in found if all(r.key._asdict()[k] == v for k, v in wanted.items())], as_json
        )

    anyio.run(run)


@routes.command("get")
@key_options
@json_option
def get_route(where: Where, kind: str, as_json: bool) -> None:
    """One route."""

    async def run() -> None:
        async with open_access(where) as access:
            _show([await access.routes.get(await _key(access, where, kind))], as_json)

    anyio.run(run)


@routes.command("create")
@key_options
@_backend_options
@json_option
def create_route(where: Where, kind: str, as_json: bool, dry_run: bool, **backend: Any) -> None:
    """A new route. Refused when the key has one already."""
    if dry_run:
        key = route_key(completed(where), kind)
        _try(where, "POST", "/v1/routes", spec_of(key, **backend), None)
        return

    async def run() -> None:
        async with open_access(where) as access:
            spec = spec_of(await _key(access, where, kind), **backend)
            _show([await access.routes.create(spec)], as_json)

    anyio.run(run)


@routes.command("update")
@key_options
@_backend_options
@_revision_option
@json_option
def update_route(
    where: Where, kind: str, revision: int | None, as_json: bool, dry_run: bool, **backend: Any
) -> None:
    """Another backend or config for a route. What the old one holds is not moved: see switch."""
    if dry_run:
        key = route_key(completed(where), kind)
        _try(where, "PUT", route_path(key), spec_of(key, **backend), revision)
        return

    async def run() -> None:
        async with open_access(where) as access:
            spec = spec_of(await _key(access, where, kind), **backend)
            _show([await access.routes.update(spec, revision)], as_json)

    anyio.run(run)


def _try(where: Where, method: str, path: str, spec: RouteSpec, revision: int | None) -> None:
    """Print what a change would do, as JSON."""
    headers = {} if revision is None else {"if-match": f'"{revision}"'}

    async def run() -> bytes:
        async with open_stores(where) as stores:
            body = orjson.dumps(spec.model_dump(mode="json"))
            answer = await stores.ask(
                method, path, params={"dry_run": 1}, headers=headers, content=body
            )
            return answer.content

    click.echo(anyio.run(run))


@routes.command("delete")
@key_options
@_revision_option
def delete_route(where: Where, kind: str, revision: int | None) -> None:
    """Remove a route. What is stored behind it stays where it is."""

    async def run() -> None:
        async with open_access(where) as access:
            key = await _key(access, where, kind)
            await access.routes.delete(key, revision)
            click.echo(f"deleted {'/'.join(key)}")

    anyio.run(run)


async def _key(access: Access, where: Where, kind: str) -> RouteKey:
    return route_key(await access.completed(where.stated), kind)


def _show(found: list[ResourceRoute], as_json: bool) -> None:
    if as_json:
        for route in found:
            click.echo(route.model_dump_json())
        return
    rows = [
        (
            *route.key,
            route.backend or route.backend_type,
            orjson.dumps(route.config).decode(),
            route.revision,
        )
        for route in found
    ]
    print_table(None, _COLUMNS, rows)
