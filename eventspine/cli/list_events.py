"""`eventspine list`: events of a stream, as they are stored."""

from __future__ import annotations

import anyio
import click
import orjson

from eventspine.cli.access import Access, Asked, open_access
from eventspine.cli.output import note, print_lines, stderr_is_terminal
from eventspine.cli.where import Where, named_values, where_options
from eventspine.contracts.answers import Page, Selection

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
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only these; chat.* too.")
@click.option("--since", metavar="TIME", help="Only events from then on, as 2026-11-24T10:00:00Z.")
@click.option("--until", metavar="TIME", help="Only events before then.")
@click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Only events that have it.")
def list_events(
    where: Where,
    stream: str,
    after: str | None,
    before: str | None,
    limit: int,
    everything: bool,
    as_json: bool,
    types: tuple[str, ...],
    since: str | None,
    until: str | None,
    metadata: tuple[str, ...],
) -> None:
    """Print events of STREAM, one JSON object a line, oldest first."""
    if everything and (before or as_json):
        raise click.UsageError("--all goes with neither --before nor --json")
    if after and before:
        raise click.UsageError("--after and --before exclude each other")
    asked = Asked(types, since, until, named_values(metadata, "--metadata"))
    if not asked.is_open:
        if before:
            raise click.UsageError("--before goes with no filter")
        anyio.run(_print_matching, where, stream, asked, after, limit, everything, as_json)
    elif everything:
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


async def _print_matching(
    where: Where,
    stream: str,
    asked: Asked,
    after: str | None,
    limit: int,
    everything: bool,
    as_json: bool,
) -> None:
    """Asks on until there are `limit`, or all, or none are left."""
    lines: list[bytes] = []
    read = printed = 0
    async with open_access(where) as access:
        while True:
            wanted = _PAGE_EVENTS if everything else limit - printed - len(lines)
            found = await access.query(stream, asked, after, wanted)
            after, read = str(found.next), read + found.read
            if as_json:
                lines += found.lines
            else:
                print_lines(found.lines)
                printed += len(found.lines)
            if found.is_complete or (not everything and printed + len(lines) >= limit):
                break
    if as_json:
        members = {"events": [orjson.Fragment(line) for line in lines], "read": read}
        click.echo(orjson.dumps({**members, **_standing(found)}).decode())
    elif not found.is_complete and stderr_is_terminal():
        note(f"there may be more: --after {after}, or --all")


async def print_on(access: Access, stream: str, after: str | None) -> None:
    """Every event after a position, page by page."""
    while True:
        page = await access.page(stream, after, None, _PAGE_EVENTS)
        print_lines(page.lines)
        if not page.lines or page.next >= page.head:
            return
        after = str(page.next)


def _document(page: Page) -> str:
    events = [orjson.Fragment(line) for line in page.lines]
    return orjson.dumps({"events": events, **_standing(page)}).decode()


def _standing(page: Page | Selection) -> dict[str, object]:
    return {
        "next": str(page.next),
        "head": str(page.head),
        "earliest": str(page.earliest),
        "closed": page.closed,
    }
