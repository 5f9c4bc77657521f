"""`eventspine audit`: who did what. The records of a tenant, and one more of your own."""

from __future__ import annotations

from typing import Any

import anyio
import click
import orjson

from eventspine.cli.access import open_access
from eventspine.cli.output import print_lines, print_table
from eventspine.cli.route_options import json_option
from eventspine.cli.store_access import open_stores
from eventspine.cli.where import Where, where_options
from eventspine.contracts.audit import AUDIT_STREAM, AUDIT_SURFACE
from eventspine.contracts.errors import InvalidJson

_COLUMNS = ("sequence", "when", "action", "phase", "by", "what")


@click.group()
def audit() -> None:
    """Read the audit records of a tenant, or add one.

    They are the stream `audit` on the surface `audit`: `eventspine tail audit --surface audit -f`
    follows them.
    """


@audit.command("list")
@where_options
@click.option("--action", help="Only records of this action, as routing.update.")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="The last so many."
)
@json_option
def list_records(where: Where, action: str | None, limit: int, as_json: bool) -> None:
    """The last records, oldest first."""

    async def run() -> list[bytes]:
        async with open_access(_on_its_surface(where)) as access:
            page = await access.page(AUDIT_STREAM, None, "latest", limit)
            return [bytes(line) for line in page.lines]

    lines = [line for line in anyio.run(run) if action in (None, _payload(line)["action"])]
    if as_json:
        print_lines(lines)
    else:
        print_table(None, _COLUMNS, map(_row, lines))


@audit.command("emit")
@click.argument("action")
@click.option("--about", default=AUDIT_SURFACE, show_default=True, help="What it is about.")
@click.option("--metadata", metavar="JSON", help="An object; secrets in it are left out.")
@click.option("--input", "input_data", metavar="JSON", help="An object: what went in.")
@click.option("--output", "output_data", metavar="JSON", help="An object: what came out.")
@where_options
def emit_record(where: Where, action: str, about: str, **data: str | None) -> None:
    """Keep a record that ACTION was done. Exit code 1 when it is lost."""
    body = {"action": action, "surface": about, **{k: _object(k, v) for k, v in data.items()}}

    async def run() -> bool:
        async with open_stores(where) as stores:
            answer = await stores.ask("POST", "/v1/audit", content=orjson.dumps(body))
            return bool(orjson.loads(answer.content)["kept"])

    if not anyio.run(run):
        raise click.ClickException("the record is lost; the log of the server says why")


def _on_its_surface(where: Where) -> Where:
    return Where(where.root, where.url, {**where.stated, "surface_id": AUDIT_SURFACE})


def _object(name: str, text: str | None) -> Any:
    try:
        return None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(f"--{name.removesuffix('_data')} is not JSON: {error}") from None


def _payload(line: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = orjson.loads(line)["payload"]
    return payload


def _row(line: bytes) -> tuple[object, ...]:
    event = orjson.loads(line)
    payload = event["payload"]
    metadata = payload["metadata"] or {}
    by = metadata.get("by") or event["metadata"].get("user_id")
    what = metadata.get("route") or payload["input_data"] or metadata
    return (
        event["sequence"],
        event["ts"],
        payload["action"],
        metadata.get("phase"),
        by,
        what if isinstance(what, str) else orjson.dumps(what).decode(),
    )
