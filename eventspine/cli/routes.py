"""`eventspine routes`: which backend holds which scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import click
import orjson
from pydantic import ValidationError

from eventspine.cli.access import Access, open_access
from eventspine.cli.output import print_table
from eventspine.cli.where import Where, where_options
from eventspine.contracts.context import DEFAULT_PROJECT
from eventspine.contracts.errors import InvalidRoute
from eventspine.contracts.route import ResourceKind, ResourceRoute, RouteKey, RouteSpec

_COLUMNS = ("kind", "tenant", "env", "project", "mode", "backend", "config", "revision")


@click.group()
def routes() -> None:
    """List, read and change the routes of a root.

    A route says which backend holds one kind of store for one tenant, env, project and mode.
    The key is given by --kind, --tenant, --env, --project and --mode; what is left out of it
    is the lab default of the root.
    """


def _key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    kinds = click.Choice([kind.value for kind in ResourceKind])
    default = ResourceKind.EVENT_STREAM.value
    with_kind = click.option(
        "--kind", type=kinds, default=default, show_default=True, help="Kind of store."
    )
    return where_options(with_kind(command))


def _backend_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--reason", help="Why, for the history."),
        click.option(
            "--config", "config_json", default="{}", metavar="JSON", help="Settings of the backend."
        ),
        click.option("--backend", required=True, help="Backend type, as filesystem or memory."),
    ):
        command = option(command)
    return command


_revision_option = click.option(
    "--revision", type=click.IntRange(1), help="Only if the route is still at this revision."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")


@routes.command("list")
@where_options
@_json_option
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
@_key_options
@_json_option
def get_route(where: Where, kind: str, as_json: bool) -> None:
    """One route."""

    async def run() -> None:
        async with open_access(where) as access:
            _show([await access.routes.get(_key(access, where, kind))], as_json)

    anyio.run(run)


@routes.command("create")
@_key_options
@_backend_options
@_json_option
def create_route(
    where: Where, kind: str, backend: str, config_json: str, reason: str | None, as_json: bool
) -> None:
    """A new route. Refused when the key has one already."""

    async def run() -> None:
        async with open_access(where) as access:
            spec = _spec(_key(access, where, kind), backend, config_json, reason)
            _show([await access.routes.create(spec)], as_json)

    anyio.run(run)


@routes.command("update")
@_key_options
@_backend_options
@_revision_option
@_json_option
def update_route(
    where: Where,
    kind: str,
    backend: str,
    config_json: str,
    reason: str | None,
    revision: int | None,
    as_json: bool,
) -> None:
    """Another backend or config for a route. What the old one holds is not moved."""

    async def run() -> None:
        async with open_access(where) as access:
            spec = _spec(_key(access, where, kind), backend, config_json, reason)
            _show([await access.routes.update(spec, revision)], as_json)

    anyio.run(run)


@routes.command("delete")
@_key_options
@_revision_option
def delete_route(where: Where, kind: str, revision: int | None) -> None:
    """Remove a route. What is stored behind it stays where it is."""

    async def run() -> None:
        async with open_access(where) as access:
            key = _key(access, where, kind)
            await access.routes.delete(key, revision)
            click.echo(f"deleted {'/'.join(key)}")

    anyio.run(run)


def _key(access: Access, where: Where, kind: str) -> RouteKey:
    values = {"project_id": DEFAULT_PROJECT, **access.completed(where.stated)}
    missing = [name for name in ("tenant_id", "env", "mode") if name not in values]
    if missing:
        options = ", ".join(f"--{name.removesuffix('_id')}" for name in missing)
        raise click.UsageError(f"a route needs {options}")
    return RouteKey(kind, values["tenant_id"], values["env"], values["project_id"], values["mode"])


def _spec(key: RouteKey, backend: str, config_json: str, reason: str | None) -> RouteSpec:
    try:
        config = orjson.loads(config_json)
        values = {**key._asdict(), "backend_type": backend, "config": config, "reason": reason}
        return RouteSpec.model_validate(values)
    except orjson.JSONDecodeError as error:
        raise InvalidRoute(f"--config is not JSON: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRoute(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _show(found: list[ResourceRoute], as_json: bool) -> None:
    if as_json:
        for route in found:
            click.echo(route.model_dump_json())
        return
    rows = [
        (*route.key, route.backend_type, orjson.dumps(route.config).decode(), route.revision)
        for route in found
    ]
    print_table(None, _COLUMNS, rows)
