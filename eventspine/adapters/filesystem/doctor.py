"""Checking a root that nobody has open: recover it, then read every byte of every stream."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.quarantine import Quarantine, Refused
from eventspine.adapters.filesystem.recovery.mend import index_of, write_index
from eventspine.adapters.filesystem.recovery.put_back import put_back
from eventspine.adapters.filesystem.streams import runs
from eventspine.adapters.filesystem.streams.runs import ENTRY_BYTES, HEAD_BYTES
from eventspine.adapters.filesystem.streams.stream_files import StreamFiles
from eventspine.adapters.filesystem.streams.stream_folders import (
    EVENTS_FILE,
    INDEX_FILE,
    INDEX_SUFFIX,
    LINES_SUFFIX,
    STREAMS,
)
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.settings import StorageSettings
from eventspine.contracts.threads import THREADS, Threads
from eventspine.contracts.wire import parse_line, place_of_line

log = logging.getLogger(__name__)
SCOPE_FOLDERS = 3  # tenant, env, surface
Verdict = Literal["ok", "mended", "damaged"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `damaged` needs a person; `mended` was put right, losing nothing."""

    verdict: Verdict
    what: str
    detail: str


def examine(
    root: Path,
    settings: StorageSettings,
    disk: Disk,
    accept: Collection[str] = (),
    threads: Threads = THREADS,
) -> list[Finding]:
    """Recover the log, then verify every stream. Blocks; the caller holds the root's lock.

    Args:
        accept: keys of refusing streams that are to be taken for what their files say.
    """
    try:
        store = FilesystemEventStreamStore.open(root, settings, disk, threads=threads)
    except StoreCorrupt as error:
        return [Finding("damaged", "commit log", error.detail)]
    recovery = store.recovery
    store.close()
    found = [Finding("ok", "commit log", f"{recovery.records} records read back")]
    if recovery.torn_bytes:
        cut = f"{recovery.torn_bytes} bytes that were never acknowledged were cut"
        found.append(Finding("mended", "commit log", cut))
    found += [Finding("mended", key, "completed from the log") for key in recovery.mended]
    found += [Finding("mended", "commit log", what) for what in recovery.salvaged]
    files = StreamFiles(root, disk, settings.open_files_max)
    quarantine = Quarantine(root, disk)
    refused = quarantine.refused()
    streams = events = 0
    for key in stream_keys(root, disk):
        finding, count = _examine_stream(files, key, quarantine, refused.get(key))
        streams, events = streams + 1, events + count
        if finding.verdict != "ok":
            found.append(finding)
        if key in refused:
            found.append(_look_at(refused.pop(key), finding, count, accept, quarantine))
    for one in refused.values():  # without files, or with some only now
        finding, count = _examine_stream(files, one.key, quarantine, one)
        found.append(_look_at(one, finding, count, accept, quarantine))
    files.close()
    found.append(Finding("ok", "streams", f"{streams} streams, {events} events read"))
    return found


def _look_at(
    one: Refused, files: Finding, events: int, accept: Collection[str], quarantine: Quarantine
) -> Finding:
    """A stream that refuses serves again once its files are whole and nothing is missing, or once
    somebody has accepted that it is.
    """
    complete = files.verdict != "damaged" and events >= one.through
    if complete or (one.key in accept and files.verdict != "damaged"):
        quarantine.release(one.key)
        how = "complete again" if complete else f"accepted with {events} of {one.through} events"
        return Finding("mended", one.key, how)
    wanted = f"{one.found}; {events} of {one.through} events are there; what was put aside is in"
    return Finding("damaged", one.key, f"{wanted} {quarantine.folder}")


def stream_keys(root: Path, disk: Disk) -> Iterator[str]:
    """The keys of all streams and journals below a root, in order."""
    kinds = {kind.value for kind in ResourceKind}
    for kind in sorted(kinds & set(disk.names(root))):
        if f"{kind}/".startswith(STREAMS):
            yield from _folder_keys(root, disk, kind)
        else:
            yield from _journal_keys(root, disk, kind, SCOPE_FOLDERS)


def _folder_keys(root: Path, disk: Disk, below: str) -> Iterator[str]:
    if not disk.is_directory(root / below):
        return
    names = disk.names(root / below)
    if EVENTS_FILE in names or INDEX_FILE in names:
        yield below
    for name in names:
        yield from _folder_keys(root, disk, f"{below}/{name}")


def _journal_keys(root: Path, disk: Disk, below: str, folders: int) -> Iterator[str]:
    if not disk.is_directory(root / below):
        return
    if folders:
        for name in disk.names(root / below):
            yield from _journal_keys(root, disk, f"{below}/{name}", folders - 1)
        return
    found = {
        name.removesuffix(suffix)
        for name in disk.names(root / below)
        for suffix in (LINES_SUFFIX, INDEX_SUFFIX)
        if name.endswith(suffix)
    }
    yield from (f"{below}/{name}" for name in sorted(found))


def _examine_stream(
    files: StreamFiles, key: str, quarantine: Quarantine, refused: Refused | None
) -> tuple[Finding, int]:
    """What a stream's files are like, and how many events are right; of one that was set aside,
    after it was put back.
    """
    try:
        if refused is not None:
            _put_back(files, quarantine, refused)
        return _verify(files, key)
    except OSError as error:
        return Finding("damaged", key, f"its files fail: {error.strerror}"), 0


def _put_back(files: StreamFiles, quarantine: Quarantine, one: Refused) -> None:
    try:
        put_back(files, quarantine, one)
    except StoreCorrupt:
        log.warning("%s: what was set aside does not follow on its files", one.key)


def _verify(files: StreamFiles, key: str) -> tuple[Finding, int]:
    events = files.disk.read_file(files.events_path(key))
    index = files.disk.read_file(files.index_path(key))
    if events is None and index is None:
        return Finding("ok", key, "no files"), 0
    events = events or b""
    if index is None:
        rebuilt = index_of(events)
        if rebuilt is None or rebuilt.runs[-1].end != len(events):
            return Finding("damaged", key, "no index, and the events are not whole"), 0
        write_index(files, key, rebuilt)
        return Finding("mended", key, "the missing index was made anew"), rebuilt.runs[-1].last
    parse = parse_line if key.startswith(STREAMS) else place_of_line
    wrong, count = _first_wrong(index, events, parse)
    return Finding("damaged" if wrong else "ok", key, wrong or f"{count} events"), count


def _first_wrong(index: bytes, events: bytes, parse: Callable[[bytes], Any]) -> tuple[str, int]:
    """What is wrong first, or nothing; and how many events are right before it."""
    head = runs.decode_head(index)
    if head is None or len(index) % ENTRY_BYTES:
        return "the index is not whole", 0
    last, end, chain, closed = 0, 0, runs.GENESIS, False
    for n, run in enumerate(runs.decode_runs(index[HEAD_BYTES:])):
        if run is None or run.first != last + 1 or run.offset != end:
            return f"index entry {n} is damaged", last
        data = events[run.offset : run.end]
        if run.events and not run.holds(data):
            return f"events {run.first} to {run.last} fail their checksum", last
        if run.events:
            chain = sha256(chain + data).digest()
        if run.chain != chain:
            return f"the hash chain breaks at event {run.first}", last
        wrong = _wrong_line(data, run.first, parse)
        if wrong:
            return wrong, last
        last, end, closed = run.last, run.end, bool(run.flags & runs.CLOSED)
    if head.closed and not closed:
        return f"index entries behind event {last} are missing", last
    if end != len(events):
        return f"{len(events) - end} bytes behind event {last} are in no index entry", last
    return "", last


def _wrong_line(data: bytes, first: int, parse: Callable[[bytes], Any]) -> str:
    for sequence, line in enumerate(data.split(b"\n")[:-1], first):
        try:
            if parse(line).sequence != sequence:
                return f"event {sequence} says another sequence"
        except (msgspec.DecodeError, UnicodeDecodeError):
            return f"event {sequence} is not an event"
    return ""
