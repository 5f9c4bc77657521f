"""`eventspine replay`: recorded chats and canvases as concurrent clients, and the proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import click
import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from eventspine.cli.failures import FAILED
from eventspine.cli.output import note, print_table, stderr_is_terminal
from eventspine.cli.where import Where, where_options
from eventspine.client import EventspineClient, RetryPolicy
from eventspine.client.replay.dataset import find_sources
from eventspine.client.replay.ledger import SendSummary
from eventspine.client.replay.pacing import Pace
from eventspine.client.replay.recording import Source
from eventspine.client.replay.sender import Sender, SendOptions
from eventspine.client.replay.verify import Verdict, Verifier

_PLAIN_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class _Run:
    where: Where
    sources: Sequence[Source]
    options: SendOptions
    patience_s: float
    send: bool
    verify: bool
    report: Path | None


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@where_options
@click.option(
    "--speed",
    default="max",
    show_default=True,
    metavar="max|realtime|Nx",
    help="As fast as it goes, as recorded, or N times as fast.",
)
@click.option("--clients", type=click.IntRange(1), help="Streams sent at once.  [default: all]")
@click.option(
    "--batch",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Most events of one request; 1 sends each by itself.",
)
@click.option(
    "--streams",
    default="*",
    show_default=True,
    metavar="GLOB",
    help="Only streams with such a name, as chat-2005*.",
)
@click.option("--limit-events", type=click.IntRange(1), help="Only the first N of each stream.")
@click.option("--prefix", default="", help="Put before the name of every stream.")
@click.option("--send/--no-send", default=True, help="Only verify what was sent before.")
@click.option("--verify/--no-verify", default=True, help="Read everything back and compare.")
@click.option(
    "--patience",
    default="60s",
    show_default=True,
    metavar="SECONDS",
    help="How long a server may be away before it is given up.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.json",
    help="Write figures and verdicts as JSON.",
)
def replay(
    where: Where,
    folder: Path,
    speed: str,
    clients: int | None,
    batch: int,
    streams: str,
    limit_events: int | None,
    prefix: str,
    send: bool,
    verify: bool,
    patience: str,
    report: Path | None,
) -> None:
    """Send the recordings in FOLDER to a server, each as one stream, and prove they arrived.

    FOLDER holds chat/*.txt (IRC days), canvas/*.json.gz (editing traces) and *.ndjson. Streams
    are sent side by side, the events of each in order. Then each is read back twice, by pages
    and over SSE: the same events, without a hole, in order, and every canvas applied must be
    the text its trace ends with. Event ids are derived from the place in the recording, so
    running again, or retrying through a crash of the server, stores nothing twice.

    Without --url it talks to the server that holds --root, or to http://127.0.0.1:8080.
    Exit code 1 when a stream is not what was sent.
    """
    options = SendOptions(clients, batch, Pace.parse(speed), prefix, limit_events)
    run = _Run(
        Where(where.root, where.url or _server_of(where.root), where.stated),
        find_sources(folder, streams),
        options,
        _seconds(patience),
        send,
        verify,
        report,
    )
    verdicts = anyio.run(_replay, run, backend_options={"use_uvloop": True})
    if any(verdict.difference for verdict in verdicts):
        raise SystemExit(FAILED)


def _server_of(root: Path) -> str:
    """The address in the lock of a root, or the default one."""
    try:
        url = orjson.loads((root / "LOCK").read_bytes())["url"]
    except (OSError, ValueError, KeyError, TypeError):
        url = None
    return url if isinstance(url, str) else "http://127.0.0.1:8080"


def _seconds(text: str) -> float:
    try:
        seconds = float(text.strip().removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise click.BadParameter(f"{text!r} is not a number of seconds", param_hint="--patience")
    return seconds


async def _replay(run: _Run) -> list[Verdict]:
    assert run.where.url is not None
    retry = RetryPolicy(patience_s=run.patience_s)
    connections = 2 * (run.options.clients or len(run.sources)) + 4
    summary, verdicts = None, []
    async with EventspineClient(
        run.where.url,
        context=run.where.stated,
        retry=retry,
        timeout_s=max(1.0, min(30.0, run.patience_s / 3)),
        connections_max=connections,
    ) as client:
        if run.send:
            summary = await _send(client, run)
        if run.verify:
            verdicts = await _verify(client, run)
    if run.report is not None:
        run.report.write_bytes(_report(summary, verdicts))
    return verdicts


async def _send(client: EventspineClient, run: _Run) -> SendSummary:
    with _progress("sending", len(run.sources)) as shown:
        sender = Sender(client, run.options, on_progress=shown.advance, on_found=shown.found)
        summary = await sender.send(run.sources)
    print_table(f"sent to {client.base_url}", *_columns([summary]))
    return summary


def _columns(summaries: Sequence[SendSummary]) -> tuple[list[str], list[list[object]]]:
    values = [summary.as_dict() for summary in summaries]
    return [name.replace("_per_s", "/s").replace("_", " ") for name in values[0]], [
        list(value.values()) for value in values
    ]


async def _verify(client: EventspineClient, run: _Run) -> list[Verdict]:
    with _progress("reading back", len(run.sources)) as shown:
        verifier = Verifier(
            client,
            prefix=run.options.prefix,
            events_max=run.options.events_max,
            on_progress=shown.advance,
            on_found=shown.found_twice,
        )
        verdicts = await verifier.verify(run.sources)
    _show_verdicts(verdicts)
    return verdicts


def _show_verdicts(verdicts: Sequence[Verdict]) -> None:
    singled_out = [v for v in verdicts if v.kind == "canvas" or v.difference]
    if singled_out:
        rows = [
            (v.stream_id, v.way, v.events, v.seconds, v.canvas, v.difference or "as sent")
            for v in singled_out
        ]
        columns = ("stream", "read by", "events", "seconds", "endContent", "verdict")
        print_table("read back", columns, rows)
    for way in ("pages", "sse"):
        read = [v for v in verdicts if v.way == way]
        good = [v for v in read if not v.difference]
        events = sum(v.events for v in read)
        click.echo(f"{way}: {events:,} events, {len(good)} of {len(read)} streams as sent")


def _report(summary: SendSummary | None, verdicts: Sequence[Verdict]) -> bytes:
    return orjson.dumps(
        {
            "sent": summary.as_dict() if summary else None,
            "verified": [verdict.as_dict() for verdict in verdicts],
            "as_sent": all(not verdict.difference for verdict in verdicts) if verdicts else None,
        },
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


class _Shown:
    """Progress on stderr: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, title: str, progress: Progress, task: TaskID) -> None:
        self._title, self._progress, self._task = title, progress, task
        self._done = self._total = 0
        self._told_at = self._started = anyio.current_time()

    def found(self, events: int) -> None:
        """A stream was read from its file; so many more events to do."""
        self._total += events
        self._progress.update(self._task, total=self._total)

    def found_twice(self, events: int) -> None:
        self.found(2 * events)

    def advance(self, _stream_id: str, events: int) -> None:
        self._done += events
        now = anyio.current_time()
        rate = self._done / max(now - self._started, 1e-9)
        self._progress.update(self._task, completed=self._done, rate=rate)
        if self._progress.disable and now - self._told_at >= _PLAIN_EVERY_S:
            self._told_at = now
            note(f"{self._title}: {self._done:,} of {self._total:,} events, {rate:,.0f}/s")


@contextmanager
def _progress(title: str, streams: int) -> Iterator[_Shown]:
    progress = Progress(
        TextColumn(f"{title} {streams} streams"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not stderr_is_terminal(),
    )
    with progress:
        yield _Shown(title, progress, progress.add_task(title, total=None, rate=0.0))
