"""`eventspine list`: events of a stream, as they are stored."""

from __future__ import annotations

import anyio
import click
import orjson

from eventspine.cli.access import Access, open_access
from eventspine.cli.output import note, print_lines, stderr_is_terminal
from eventspine.cli.where import Where, where_options
from eventspine.contracts.answers import Page

_PAGE_EVENTS = 1000


@click.command("list")
@click.argument("stream")
@where_options
@click.option("--after", metavar="POSITION", help="A cursor or event id; events after it.")
@click.option("--before", metavar="POSITION", help="The last events before this position.")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many."
)
@click.option("--all", "everything", is_flag=True, help="Every event, page after page.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: events, next, head, …")
def list_events(
    where: Where,
    stream: str,
    after: str | None,
    before: str | None,
    limit: int,
    everything: bool,
    as_json: bool,
) -> None:
    """Print events of STREAM, one JSON object a line, oldest first."""
    if everything and (before or as_json):
        raise click.UsageError("--all goes with neither --before nor --json")
    if after and before:
        raise click.UsageError("--after and --before exclude each other")
    if everything:
        anyio.run(_print_all, where, stream, after)
    else:
        anyio.run(_print_page, where, stream, after, before, limit, as_json)


async def _print_page(
    where: Where, stream: str, after: str | None, before: str | None, limit: int, as_json: bool
) -> None:
    async with open_access(where) as access:
        page = await access.page(stream, after, before, limit)
    if as_json:
        click.echo(_document(page))
        return
    print_lines(page.lines)
    if before is None and page.next < page.head and stderr_is_terminal():
        note(f"there is more: --after {page.next}, or --all")


async def _print_all(where: Where, stream: str, after: str | None) -> None:
    async with open_access(where) as access:
        await print_on(access, stream, after)


async def print_on(access: Access, stream: str, after: str | None) -> None:
    """Every event after a position, page by page."""
    while True:
        page = await access.page(stream, after, None, _PAGE_EVENTS)
        print_lines(page.lines)
        if not page.lines or page.next >= page.head:
            return
        after = str(page.next)


def _document(page: Page) -> str:
    members = {
        "events": [orjson.Fragment(line) for line in page.lines],
        "next": str(page.next),
        "head": str(page.head),
        "earliest": str(page.earliest),
        "closed": page.closed,
    }
    return orjson.dumps(members).decode()
