"""`eventspine analytics`: events in, one JSON object a line; JSON asks, tables answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import anyio
import anyio.to_thread
import click
import msgspec
import orjson
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from eventspine.cli.failures import fail
from eventspine.cli.input import size_of, stated
from eventspine.cli.output import note, print_table, stderr_is_terminal
from eventspine.cli.store_access import open_stores
from eventspine.cli.where import Where, where_options
from eventspine.client.event_ids import derived_id, uuid7
from eventspine.client.stores.asking import address
from eventspine.contracts.analytics_event import parse_events
from eventspine.contracts.errors import EventspineError, InvalidAnalyticsEvent, InvalidJson

_BATCH_BYTES_MAX = 4 * 1024 * 1024
_NDJSON = {"content-type": "application/x-ndjson"}


@click.group()
def analytics() -> None:
    """Store analytics events, and ask about them."""


def _dataset_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--dataset", default="events", show_default=True)(command)


def _at(dataset: str, what: str) -> str:
    return address("analytics", dataset, what)


@analytics.command("ingest")
@click.argument("file", type=click.File("rb"), default="-")
@_dataset_option
@click.option("--batch", type=click.IntRange(1, 10_000), default=1000, show_default=True)
@click.option(
    "--key",
    help="Makes the id of a line without event_id from this key and the line's number, so that "
    "running again stores nothing twice.",
)
@where_options
def ingest(where: Where, file: BinaryIO, dataset: str, batch: int, key: str | None) -> None:
    """Store events from FILE or standard input, one JSON object a line.

    A line needs "event"; "event_id", "time", "user_id", "anonymous_id", "session_id" and
    "properties" may be there. Each batch is stored as a whole or not at all.
    """
    anyio.run(_ingest, where, dataset, _Lines(file, dataset, batch, key))


class _Lines:
    """The lines of a file as batches to send, each event with an id."""

    def __init__(self, file: BinaryIO, dataset: str, batch: int, key: str | None) -> None:
        self.taken_bytes = 0
        self.total_bytes = size_of(file)
        self._file, self._batch = file, batch
        self._named = None if key is None else f"{dataset}:{key}"
        self._number = 0

    def next(self) -> list[bytes]:
        """The next batch; empty at the end. A line that is none is refused by its number."""
        events: list[bytes] = []
        size = 0
        while len(events) < self._batch and size < _BATCH_BYTES_MAX:
            line = self._file.readline()
            if not line:
                break
            self._number += 1
            self.taken_bytes += len(line)
            if line.strip():
                events.append(self._encoded(line))
                size += len(events[-1])
        return events

    def _encoded(self, line: bytes) -> bytes:
        try:
            (event,) = parse_events(line, ndjson=True)
        except (InvalidAnalyticsEvent, InvalidJson) as error:
            detail = error.detail.removeprefix("line 1: ")
            raise type(error)(f"line {self._number}: {detail}") from None
        if event.event_id is None:  # made before the first try, so that another is the same event
            event.event_id = (
                uuid7() if self._named is None else derived_id(self._named, self._number)
            )
        return msgspec.json.encode(event)


async def _ingest(where: Where, dataset: str, lines: _Lines) -> None:
    stored = duplicates = 0
    with _bar(lines.total_bytes) as shown:
        async with open_stores(where) as stores:
            try:
                while events := await anyio.to_thread.run_sync(lines.next):
                    body = b"\n".join(events)
                    answer = await stores.ask(
                        "POST", _at(dataset, "events"), headers=_NDJSON, content=body
                    )
                    done = answer.json()
                    stored, duplicates = stored + done["stored"], duplicates + done["duplicates"]
                    shown(lines.taken_bytes)
            except EventspineError as error:
                fail(f"{error.detail}; {stored + duplicates} events are in", error.remedy)
    known = f" ({duplicates} were there already)" if duplicates else ""
    note(f"{stored + duplicates} events in {dataset}{known}")


def _question_command(name: str, text: str) -> None:
    def command(where: Where, question: str, dataset: str, as_json: bool) -> None:
        answer = anyio.run(_asked, where, _at(dataset, name), question)
        _print(answer, as_json)

    command.__doc__ = text
    option = click.option("--json", "as_json", is_flag=True, help="The answer as it came.")
    argument = click.argument("question")
    analytics.command(name)(argument(_dataset_option(option(where_options(command)))))


_question_command(
    "query",
    """Print groups of events and their measures.

    QUESTION is JSON, or - to read it from standard input:

    \b
        eventspine analytics query '{"events": ["page_view"], "bucket": "day",
            "group_by": ["path"], "measures": [{"measure": "users"}]}'
    """,
)
_question_command(
    "funnel",
    """Print how many people take steps in order.

    \b
        eventspine analytics funnel '{"steps": [{"event": "page_view"}, {"event": "purchase"}],
            "window_s": 86400, "breakdown": "utm_source"}'
    """,
)
_question_command(
    "retention",
    """Print how many of those who began came back.

    \b
        eventspine analytics retention '{"begin": {"event": "signup"},
            "back": {"event": "page_view"}, "period": "week", "periods": 4}'
    """,
)


_question_command(
    "attribution",
    """Print which touches conversions are owed to.

    \b
        eventspine analytics attribution '{"touch": {"event": "page_view"},
            "conversion": {"event": "purchase"}, "by": "source", "value": "price"}'
    """,
)


async def _asked(where: Where, path: str, question: str) -> Any:
    content = stated(question)
    async with open_stores(where) as stores:
        with _spinner():
            return (await stores.ask("POST", path, content=content)).json()


def _print(answer: Any, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(answer))
        return
    rows = [[_shown(value) for value in row] for row in answer["rows"]]
    print_table(None, answer["columns"], rows)
    if answer["more"]:
        note(f"there are more than these {len(answer['rows'])} rows; state a larger limit")


def _shown(value: Any) -> Any:
    """As a table has it: with four digits behind the point, or four that say something."""
    if isinstance(value, float):
        return round(value, 4) if abs(value) >= 1 else float(f"{value:.4g}")
    return str(value).lower() if isinstance(value, bool) else value


@contextmanager
def _spinner() -> Iterator[None]:
    """A sign of life on stderr; shown to terminals only."""
    if not stderr_is_terminal():
        yield
        return
    with Console(stderr=True).status("asking"):
        yield


@contextmanager
def _bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr; shown to terminals only."""
    columns = (TextColumn("events"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    hidden = not stderr_is_terminal()
    with Progress(*columns, console=Console(stderr=True), disable=hidden) as progress:
        task = progress.add_task("events", total=total)
        yield lambda taken: progress.update(task, completed=taken)
