"""`eventspine routes import-env`: routes in place of the variables that chose backends before."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click
import orjson

from eventspine.cli.output import note, print_table
from eventspine.cli.route_options import completed
from eventspine.cli.store_access import StoreAccess, open_stores
from eventspine.cli.where import Where, where_options
from eventspine.contracts.legacy_env import (
    Imported,
    imported,
    looks_legacy,
    meaning_of,
    variables_of,
)
from eventspine.contracts.route import WILDCARD, RouteKey, RouteSpec
from eventspine.contracts.system_routes import REGISTRY_KEY

BY = {"x-user-id": "eventspine routes import-env"}
_KEPT = (*RouteSpec.model_fields,)


@click.command("import-env")
@click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read this file of NAME=value lines, all of it, instead of the environment.",
)
@click.option(
    "--means",
    multiple=True,
    metavar="NAME=KIND[.FIELD]",
    help="What a variable of your own says: a backend, or a field of its config.",
)
@click.option("--apply", "change", is_flag=True, help="Write the routes; without it, only say.")
@where_options
def import_env(where: Where, env_file: Path | None, means: tuple[str, ...], change: bool) -> None:
    """Write routes from the variables that chose backends before there were routes.

    Prints the plan, and on stdout the registry as a file for `routes apply`. The routes are for all
    tenants, envs and projects unless options name some, and for the mode of --mode or the lab.
    Variables that are not understood are named; values of secrets are never read.
    """
    variables = _variables(env_file, means)
    scope = dict.fromkeys(RouteKey._fields[1:4], WILDCARD) | _scope(where)
    if "mode" not in scope:
        raise click.UsageError("import-env needs --mode")
    result = _imported(variables, means, scope)

    async def run() -> None:
        async with open_stores(where) as stores:
            await _carry_out(stores, result, change=change)

    anyio.run(run)


def _variables(env_file: Path | None, means: tuple[str, ...]) -> dict[str, str]:
    if env_file is not None:
        return variables_of(env_file.read_text(encoding="utf-8"))
    named = {meaning_of(text)[0] for text in means}
    return {n: value for n, value in os.environ.items() if n in named or looks_legacy(n)}


def _scope(where: Where) -> dict[str, str]:
    stated = {name: value for name, value in where.stated.items() if name in RouteKey._fields}
    mode = completed(where).get("mode")
    return {**stated, **({} if mode is None else {"mode": mode})}


def _imported(variables: dict[str, str], means: tuple[str, ...], scope: dict[str, str]) -> Imported:
    from eventspine.bootstrap import check_route, takes_secret

    meanings = dict(map(meaning_of, means))
    return imported(variables, meanings, scope, check_route, takes_secret)


async def _carry_out(stores: StoreAccess, result: Imported, *, change: bool) -> None:
    found = orjson.loads((await stores.ask("GET", "/v1/routes")).content)
    kept_rows = (row for row in found["routes"] if _key(row) != REGISTRY_KEY)
    rows = [{name: row[name] for name in _KEPT} for row in kept_rows]
    kept = {_key(row): row for row in rows}
    for key, spec in result.routes.items():
        new = spec.model_dump(mode="json")
        if key not in kept or any(kept[key][n] != new[n] for n in ("backend_type", "config")):
            kept[key] = new
    file = {"serial": found["revision"], "routes": list(kept.values())}
    table = partial(print_table, to_stderr=True)
    _report(result, table)
    if not result.secrets or change:  # a secret may still have to be declared
        plan = orjson.loads(
            (await stores.ask("POST", "/v1/routes/plan", content=orjson.dumps(file))).content
        )
        changes = [row["after"] for row in plan["rows"]]
    else:
        changes = [new for key, new in kept.items() if new not in rows]
    table(None, ("row", "backend", "config"), [_line(row) for row in changes])
    click.echo(orjson.dumps(file, option=orjson.OPT_INDENT_2))
    if not change:
        note("nothing was changed; --apply writes this")
        return
    body = orjson.dumps({**file, "reason": "imported from the environment"})
    answer = orjson.loads(
        (await stores.ask("POST", "/v1/routes/apply", headers=BY, content=body)).content
    )
    note(f"revision {answer['revision']}")


def _report(result: Imported, table: Any) -> None:
    rows = [(name, kind, "") for name, kind in result.taken]
    rows += [(name, "", f"not understood: {why}") for name, why in result.not_understood.items()]
    if not rows:
        note("there is no variable that chose a backend")
        return
    table(None, ("variable", "becomes a route of", "note"), sorted(rows))
    for name, variable in result.secrets.items():
        entry = f'[secrets.{name}] variable = "{variable}"'
        note(f"{variable} is a secret and stays where it is; add to settings.toml: {entry}")


def _key(row: dict[str, Any]) -> RouteKey:
    return RouteKey(*(row[name] for name in RouteKey._fields))


def _line(row: dict[str, Any]) -> tuple[str, str, str]:
    return "/".join(_key(row)), row["backend_type"], orjson.dumps(row["config"]).decode()
