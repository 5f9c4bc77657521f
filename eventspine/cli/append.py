"""`eventspine append`: NDJSON into a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import anyio
import anyio.to_thread
import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from eventspine.cli.access import Access, open_access
from eventspine.cli.failures import fail
from eventspine.cli.input import size_of
from eventspine.cli.output import note, stderr_is_terminal
from eventspine.cli.where import Where, where_options
from eventspine.client.event_ids import derived_id, uuid7
from eventspine.contracts.errors import EventspineError, InvalidEvent, InvalidJson
from eventspine.contracts.wire import encode_json, parse_body

_PIECE_BYTES = 256 * 1024
_BATCH_BYTES_MAX = 4 * 1024 * 1024
_LINE_BYTES_MAX = 16 * 1024 * 1024


@click.command()
@click.argument("stream")
@click.argument("file", type=click.File("rb"), default="-")
@where_options
@click.option(
    "--batch",
    type=click.IntRange(1, 10_000),
    default=500,
    show_default=True,
    help="Most events of one append.",
)
@click.option(
    "--key",
    help="Makes the id of a line without event_id from this key and the line's "
    "number, so that running again appends nothing twice.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress bar and no summary.")
def append(
    where: Where, stream: str, file: BinaryIO, batch: int, key: str | None, quiet: bool
) -> None:
    """Append events to STREAM, one JSON object a line, from FILE or standard input.

    A line needs "event_type" and "payload"; "event_id" and "ts" may be there. Each batch is
    stored as a whole or not at all. After an interruption run the same command again: lines with
    an event_id, and all lines when --key is given, are recognised and not stored twice.

    \b
        echo '{"event_type":"hello","payload":{"n":1}}' | eventspine append demo
    """
    anyio.run(_append, where, stream, file, batch, key, quiet)


async def _append(
    where: Where, stream: str, file: BinaryIO, batch: int, key: str | None, quiet: bool
) -> None:
    async with open_access(where) as access:
        with _bar(file, stream, quiet) as (progress, task):
            run = AppendRun(access, stream, key, batch)
            try:
                async for piece in _pieces(file):
                    await run.take(piece)
                    progress.update(task, advance=len(piece), events=run.stored)
                await run.finish()
                progress.update(task, events=run.stored)
            except EventspineError as error:
                fail(f"{error.detail}; {run.stored} events are in", error.remedy)
    if not quiet:
        known = f" ({run.duplicates} were there already)" if run.duplicates else ""
        note(f"{run.stored} events in {stream}{known}")


class AppendRun:
    """Lines on their way into one stream. `stored` counts every event that is in for certain."""

    def __init__(self, access: Access, stream: str, key: str | None, batch: int) -> None:
        self.stored = self.duplicates = self.lines = 0
        self._access, self._stream, self._key, self._batch = access, stream, key, batch
        self._partial: list[bytes] = []
        self._partial_bytes = 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    async def take(self, piece: bytes) -> None:
        """Bytes as they came; whole lines go out, in batches, before this returns."""
        *whole, rest = piece.split(b"\n")
        for line in whole:
            self._partial.append(line)
            await self._take_line(b"".join(self._partial))
            self._partial.clear()
            self._partial_bytes = 0
        self._partial.append(rest)
        self._partial_bytes += len(rest)
        if self._partial_bytes > _LINE_BYTES_MAX:
            await self._flush()
            raise InvalidEvent(f"line {self.lines + 1}: longer than {_LINE_BYTES_MAX} bytes")
        await self._flush()

    async def finish(self) -> None:
        """The last line, which may have no newline."""
        rest = b"".join(self._partial)
        if rest:
            await self._take_line(rest)
        await self._flush()

    async def _take_line(self, line: bytes) -> None:
        self.lines += 1
        if not line.strip():
            return
        try:
            encoded = self._encoded(line)
        except (InvalidEvent, InvalidJson) as error:
            await self._flush()  # what stood before the bad line is good
            raise type(error)(
                f"line {self.lines}: {error.detail.removeprefix('line 1: ')}"
            ) from None
        self._waiting.append(encoded)
        self._waiting_bytes += len(encoded)
        if len(self._waiting) >= self._batch or self._waiting_bytes > _BATCH_BYTES_MAX:
            await self._flush()

    def _encoded(self, line: bytes) -> bytes:
        (draft,) = parse_body(line, ndjson=True)
        if draft.event_id is None:
            # made before the first try, so that a retry over HTTP is the same event
            named = self._key is not None
            draft.event_id = (
                derived_id(f"{self._stream}:{self._key}", self.lines) if named else uuid7()
            )
        encoded: bytes = encode_json(draft)
        return encoded

    async def _flush(self) -> None:
        if self._waiting:
            appended = await self._access.append(self._stream, b"\n".join(self._waiting))
            self.stored += len(self._waiting)
            self.duplicates += appended.duplicates
            self._waiting.clear()
            self._waiting_bytes = 0


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """What there is to read, as it comes: a pipe that is still written to is not waited out."""
    read = getattr(file, "read1", file.read)
    while piece := await anyio.to_thread.run_sync(read, _PIECE_BYTES, abandon_on_cancel=True):
        yield piece


@contextmanager
def _bar(file: BinaryIO, stream: str, quiet: bool) -> Iterator[tuple[Progress, TaskID]]:
    """A progress bar on stderr; shown to terminals only."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[events]:,} events"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=quiet or not stderr_is_terminal(),
    )
    with progress:
        yield progress, progress.add_task(stream, total=size_of(file), events=0)
