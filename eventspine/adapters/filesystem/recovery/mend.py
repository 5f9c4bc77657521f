"""After a crash: bringing the files of a stream to where the log can take over.

A stream that the log names may end in anything since the last checkpoint: bytes without an index
entry, entries without their bytes, zeros. What was durable at the checkpoint is trusted to be
there; behind it every run is checked, and from the first that fails on the log writes it again.
A stream the log does not name was complete at the checkpoint, and its index vouches for it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import msgspec

from eventspine.adapters.filesystem.quarantine import Quarantine
from eventspine.adapters.filesystem.streams import runs
from eventspine.adapters.filesystem.streams.backlog import Unflushed
from eventspine.adapters.filesystem.streams.runs import ENTRY_BYTES, HEAD_BYTES, IndexHead, Run
from eventspine.adapters.filesystem.streams.stream_files import FileState, StreamFiles
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.wire import place_of_line

log = logging.getLogger(__name__)


def mend_tail(files: StreamFiles, quarantine: Quarantine, key: str, part: Unflushed) -> bool:
    """Cut the files back to their last good run; `part` writes what follows. True if cut.

    Raises:
        StoreCorrupt: events that were durable before the log began are not there.
    """
    disk, path = files.disk, files.index_path(key)
    data = disk.read_file(path)
    head = runs.decode_head(data) if data is not None else None
    if head is not None and part.wipe and head.epoch < part.epoch:
        return False  # will be deleted, whatever it holds
    if head is None:
        if part.first > 1:
            return _rebuild(files, key, part)
        state, entries = FileState(part.epoch, None), 0
        if data is not None:
            disk.unlink(path)
    else:
        assert data is not None
        entries = len(data) // ENTRY_BYTES - 1
        state = _good_part(files, key, data, head, part.first)
    kept = HEAD_BYTES + state.entries * ENTRY_BYTES
    cut = data is not None and head is not None and kept < len(data)
    if cut:
        _truncate(files, files.index_path(key), kept)
        log.warning("%s: %d index entries were never durable", key, entries - state.entries)
    cut = _cut_events(files, quarantine, key, part, state) or cut
    if state.last + 1 < part.first:
        raise files.corrupt(key, f"events {state.last + 1} to {part.first - 1} are lost")
    if head is not None:
        if head.closed and not state.closed:
            files.write_head(key, head._replace(closed=False))  # the log closes it again
        files.adopt(key, state)
    _write_sizes_again(files, key)
    return cut


def _good_part(
    files: StreamFiles, key: str, data: bytes, head: IndexHead, first_logged: int
) -> FileState:
    """Where the files stand after the last run that is whole, with every run before it."""
    entries = len(data) // ENTRY_BYTES - 1
    start = _first_to_check(data, entries, first_logged)
    state = FileState(head.epoch, head.mode)
    if start:
        before = runs.decode_run(data[start * ENTRY_BYTES : (start + 1) * ENTRY_BYTES])
        if before is None:
            raise files.corrupt(key, f"index entry {start - 1} is damaged")
        state.take(before)
        state.entries = start
    fd = files.disk.open(files.events_path(key), create=True)
    try:
        for at in range(start, entries):
            run = runs.decode_run(data[(at + 1) * ENTRY_BYTES : (at + 2) * ENTRY_BYTES])
            if run is None or run.first != state.last + 1 or run.offset != state.end:
                break
            piece = files.disk.read(fd, run.length, run.offset)
            if run.events and not run.holds(piece):
                break
            files.disk.write(fd, piece, run.offset)
            state.take(run)
    finally:
        files.disk.close(fd)
    _write_index_again(files, key, data[: HEAD_BYTES + state.entries * ENTRY_BYTES], start)
    return state


def _write_index_again(files: StreamFiles, key: str, data: bytes, start: int) -> None:
    """Write the head and the entries from `start` on in place, as they are.

    Like the runs they name: a sync that failed has marked pages clean that are on no disk, and the
    next one would not write them.
    """
    fd = files.disk.open(files.index_path(key))
    try:
        files.disk.write(fd, data[:HEAD_BYTES], 0)
        at = HEAD_BYTES + start * ENTRY_BYTES
        files.disk.write(fd, data[at:], at)
    finally:
        files.disk.close(fd)


def _first_to_check(data: bytes, entries: int, first_logged: int) -> int:
    """Number of the first entry that may hold an event the log names; all before were durable."""
    at = entries
    while at:
        run = runs.decode_run(data[at * ENTRY_BYTES : (at + 1) * ENTRY_BYTES])
        if run is not None and run.events and run.last < first_logged:
            break
        at -= 1
    return at


def _cut_events(
    files: StreamFiles, quarantine: Quarantine, key: str, part: Unflushed, state: FileState
) -> bool:
    """Cut events.jsonl where the index ends. Bytes the log does not explain are kept aside."""
    path = files.events_path(key)
    extra = files.events_size(key) - state.end
    if extra <= 0:
        return False
    fd = files.disk.open(path)
    try:
        bytes_behind = files.disk.read(fd, extra, state.end)
    finally:
        files.disk.close(fd)
    expected = b"\n".join(part.lines[max(state.last + 1 - part.first, 0) :]) + b"\n"
    if not expected.startswith(bytes_behind.rstrip(b"\0")):
        quarantine.keep(path, bytes_behind)
    _truncate(files, path, state.end)
    return True


def _write_sizes_again(files: StreamFiles, key: str) -> None:
    """As `_write_index_again`, for how long the files are.

    The sync that failed may have been that of a cut, and then the disk has a longer file still.
    """
    for path in (files.events_path(key), files.index_path(key)):
        try:
            fd = files.disk.open(path)
        except FileNotFoundError:
            continue
        try:
            size = files.disk.size(fd)
            files.disk.truncate(fd, size + 1)
            files.disk.truncate(fd, size)
        finally:
            files.disk.close(fd)


def _truncate(files: StreamFiles, path: Path, size: int) -> None:
    fd = files.disk.open(path)
    try:
        files.disk.truncate(fd, size)
    finally:
        files.disk.close(fd)


# --- a missing or short index ---------------------------------------------------------------


class Rebuilt(NamedTuple):
    head: IndexHead
    runs: list[Run]


def index_of(events: bytes, before: int | None = None) -> Rebuilt | None:
    """The index of the bytes of an events.jsonl, as far as its lines are whole and dense.

    None when there is not one whole line. Lines from sequence `before` on are left out.
    """
    lines: list[bytes] = []
    epoch, mode = 0, None
    for line in events.split(b"\n"):
        try:
            parts = place_of_line(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            break
        if parts.sequence != len(lines) + 1 or parts.sequence == before:
            break
        if not lines:
            epoch, mode = Cursor.parse(parts.cursor).epoch, parts.routing.get("mode")
        lines.append(line)
    if not lines:
        return None
    return Rebuilt(IndexHead(epoch, mode), runs.make_runs(lines, 1, 0, runs.GENESIS)[1])


def write_index(files: StreamFiles, key: str, rebuilt: Rebuilt) -> None:
    """Put an index in place, durably, at once."""
    data = runs.encode_head(rebuilt.head) + b"".join(map(runs.encode_run, rebuilt.runs))
    files.disk.replace_file(files.index_path(key), data)


def _rebuild(files: StreamFiles, key: str, part: Unflushed) -> bool:
    events = files.disk.read_file(files.events_path(key)) or b""
    rebuilt = index_of(events, before=part.first)
    if rebuilt is None or rebuilt.runs[-1].last + 1 < part.first:
        raise files.corrupt(key, f"events before {part.first} are lost, and so is the index")
    write_index(files, key, rebuilt)
    _truncate(files, files.events_path(key), rebuilt.runs[-1].end)
    log.warning("%s: the index was rebuilt from %d events", key, rebuilt.runs[-1].last)
    return True
