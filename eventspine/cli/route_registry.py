"""`eventspine routes explain`, `history`, `rollback`, `plan`, `apply`, `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import click
import orjson

from eventspine.cli.output import note, print_table
from eventspine.cli.route_options import (
    completed,
    json_option,
    key_options,
    reason_option,
    route_key,
)
from eventspine.cli.store_access import open_stores
from eventspine.cli.where import Where, where_options
from eventspine.contracts.route import RouteKey
from eventspine.contracts.route_file import RouteFile, parsed_file
from eventspine.contracts.system_routes import REGISTRY_KEY

BY = {"x-user-id": "eventspine routes"}
_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


def _asked(where: Where, method: str, path: str, **options: Any) -> Any:
    """One answer of the registry, as JSON."""

    async def run() -> Any:
        async with open_stores(where) as stores:
            answer = await stores.ask(method, path, **options)
            return orjson.loads(answer.content)

    return anyio.run(run)


@click.command("explain")
@key_options
@json_option
def explain_route(where: Where, kind: str, as_json: bool) -> None:
    """Which route serves a scope, which others could have, and why it is this one."""
    key = route_key(completed(where), kind)
    found = _asked(where, "GET", "/v1/routes/explain", params=key._asdict())
    if as_json:
        click.echo(orjson.dumps(found))
        return
    route, health = found["route"], found["health"] or {}
    if route is not None:
        note(f"{_shown(route)} -> {route['backend'] or route['backend_type']}: {found['why']}")
        note(f"{health['state']}{': ' + health['reason'] if health['reason'] else ''}")
        circuit = health["circuit"]
        if circuit is not None and circuit["state"] != "closed":
            note(
                f"circuit {circuit['state']} since {circuit['opened_at']}: {circuit['last_error']}"
            )
    else:
        note(found["why"])
    for name, reason in found["files"].items():
        note(f"{name}: {reason}")
    rows = [
        (_shown(one["key"]), "*" if one["wins"] else "", one["why"]) for one in found["candidates"]
    ]
    print_table(None, ("row", "wins", "why"), rows)


def _shown(row: dict[str, Any]) -> str:
    return "/".join(row[name] for name in RouteKey._fields)


@click.command("history")
@key_options
@click.option("--all", "every", is_flag=True, help="Changes of every route, not of one key.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@json_option
def route_history(where: Where, kind: str, every: bool, limit: int, as_json: bool) -> None:
    """Who changed a route, when, why and how; the newest first."""
    key = {} if every else route_key(completed(where), kind)._asdict()
    found = _asked(where, "GET", "/v1/routes/history", params={**key, "limit": limit})
    if as_json:
        for change in found["changes"]:
            click.echo(orjson.dumps(change))
        return
    rows = [
        (
            *(change[name] for name in ("revision", "at", "action", "by", "reason")),
            _shown(row["after"] or row["before"]),
            orjson.dumps(row["diff"]).decode(),
        )
        for change in found["changes"]
        for row in change["rows"]
    ]
    print_table(None, ("revision", "when", "what", "who", "why", "row", "diff"), rows)


@click.command("rollback")
@click.option("--to", required=True, type=click.IntRange(0), help="The revision to go back to.")
@click.option("--revision", type=click.IntRange(1), help="Only if the registry is still at this.")
@reason_option
@where_options
def rollback_routes(where: Where, to: int, revision: int | None, reason: str | None) -> None:
    """All routes as they were at a revision, under a new revision."""
    headers = BY if revision is None else {**BY, "if-match": f'"{revision}"'}
    body = orjson.dumps({"to": to, "reason": reason})
    _say(_asked(where, "POST", "/v1/routes/rollback", headers=headers, content=body))


@click.command("plan")
@_FILE
@json_option
@where_options
def plan_routes(where: Where, file: Path, as_json: bool) -> None:
    """What applying FILE (TOML or JSON) would change. Routes it does not name would be deleted."""
    found = _asked(where, "POST", "/v1/routes/plan", content=_body(_read(file)))
    if as_json:
        click.echo(orjson.dumps(found))
        return
    rows = [
        (_verb(row), _shown(row["after"] or row["before"]), orjson.dumps(row["diff"]).decode())
        for row in found["rows"]
    ]
    print_table(None, ("what", "row", "diff"), rows)
    moved = "" if found["applies"] else "; the registry has moved on from the file's"
    note(f"serial = {found['serial']}{moved}")


@click.command("apply")
@_FILE
@click.option("--serial", type=click.IntRange(0), help="Instead of the file's: the plan's.")
@reason_option
@where_options
def apply_routes(where: Where, file: Path, serial: int | None, reason: str | None) -> None:
    """Make the registry what FILE says, in one revision. Refused when it has moved on."""
    wanted = _read(file)
    if serial is not None:
        wanted = wanted.model_copy(update={"serial": serial})
    body = _body(wanted, reason=reason)
    _say(_asked(where, "POST", "/v1/routes/apply", headers=BY, content=body))


@click.command("export")
@where_options
def export_routes(where: Where) -> None:
    """All routes as a JSON file for plan and apply."""
    found = _asked(where, "GET", "/v1/routes")
    names = ("health", "revision", "updated_at", "updated_by")
    routes = [
        {k: v for k, v in row.items() if k not in names}
        for row in found["routes"]
        if row["resource_kind"] != REGISTRY_KEY.resource_kind
    ]
    file = {"serial": found["revision"], "routes": routes}
    click.echo(orjson.dumps(file, option=orjson.OPT_INDENT_2))


def _read(file: Path) -> RouteFile:
    return parsed_file(file.read_text(encoding="utf-8"), file.name)


def _body(file: RouteFile, **more: Any) -> bytes:
    return orjson.dumps({**file.model_dump(mode="json", exclude_none=True), **more})


def _verb(row: dict[str, Any]) -> str:
    if row["before"] is None:
        return "create"
    return "delete" if row["after"] is None else "update"


def _say(answer: dict[str, Any]) -> None:
    if answer["change"] is None:
        note(f"nothing differs; the registry stays at revision {answer['revision']}")
        return
    click.echo(f"revision {answer['revision']}")
    for key, health in answer["health"].items():
        reason = f": {health['reason']}" if health["reason"] else ""
        click.echo(f"{key} {health['state']}{reason}")


COMMANDS = (
    explain_route,
    route_history,
    rollback_routes,
    plan_routes,
    apply_routes,
    export_routes,
)
