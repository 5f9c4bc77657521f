"""`eventspine tail`: the end of a stream, and what comes after it."""

from __future__ import annotations

from contextlib import aclosing

import anyio
import click
import orjson

from eventspine.cli.access import Access, open_access
from eventspine.cli.list_events import print_on
from eventspine.cli.output import note, print_lines
from eventspine.cli.where import Where, where_options
from eventspine.client import End, Gap
from eventspine.contracts.cursor import Cursor


@click.command()
@click.argument("stream")
@where_options
@click.option("-f", "--follow", is_flag=True, help="Go on with new events until interrupted.")
@click.option(
    "-n", "count", type=click.IntRange(0), default=10, show_default=True, help="Last events first."
)
def tail(where: Where, stream: str, follow: bool, count: int) -> None:
    """Print the last events of STREAM, and with -f every new one as it is stored.

    Over HTTP a broken connection is taken up again after the last event printed. The end of the
    stream, and a gap in it, are told on standard error.
    """
    anyio.run(_tail, where, stream, follow, count)


async def _tail(where: Where, stream: str, follow: bool, count: int) -> None:
    async with open_access(where) as access:
        head = (await access.head(stream)).cursor
        after = str(Cursor(head.epoch, max(0, head.sequence - count)))
        if follow:
            await _follow(access, stream, after)
        else:
            await print_on(access, stream, after)


async def _follow(access: Access, stream: str, after: str) -> None:
    async with aclosing(access.follow(stream, after)) as items:
        async for item in items:
            if isinstance(item, Gap):
                told = orjson.dumps(item.fields).decode()
                note(f"gap: the stream does not hold what was asked for: {told}")
            elif isinstance(item, End):
                note(f"end: {item.reason}")
            else:
                print_lines([item.line])
