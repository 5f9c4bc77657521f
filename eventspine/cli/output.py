"""What commands print: stored lines to stdout as they are, everything said about them to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_lines(lines: Iterable[bytes]) -> None:
    """Stored events as NDJSON, flushed, so that `| jq` sees them at once."""
    stdout = sys.stdout.buffer
    for line in lines:
        stdout.write(line + b"\n")
    stdout.flush()


def note(text: str) -> None:
    click.echo(text, err=True)


def stderr_is_terminal() -> bool:
    return sys.stderr.isatty()


def print_table(
    title: str | None,
    columns: Iterable[str],
    rows: Iterable[Iterable[object]],
    *,
    to_stderr: bool = False,
) -> None:
    """A table; numbers to the right, as wide as it needs when nobody watches."""
    watched = (sys.stderr if to_stderr else sys.stdout).isatty()
    options: dict[str, Any] = {"soft_wrap": True} if watched else {"width": 200}
    console = Console(stderr=to_stderr, **options)
    table = Table(title=title, title_justify="left", header_style="bold")
    cells = [[_text(value) for value in row] for row in rows]
    for number, column in enumerate(columns):
        numeric = cells and all(_is_number(row[number]) for row in cells)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(escape, row))  # what is in brackets is data, not markup
    console.print(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").lstrip("-").isdigit()
