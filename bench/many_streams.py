"""100,000 streams with one event each: writing them, and starting over them.

Written by 256 producers in a process that embeds the spine; Redis gets 256 commands at a time on
one socket. The server is then started over what was written, until it says that it is ready.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.peers import eventspine, redis
from bench.process import Process
from bench.stage import EVENT_BYTES, Column, Contender, Missing, Row, Stage, run_load

TITLE = "{streams:,} streams used once each"
START_TITLE = "start of a server over {streams:,} streams"
COLUMNS = (
    Column("seconds", "seconds", ",.1f"),
    Column("cpu_us", "processor µs a stream", ",.0f"),
    Column("grown_mb", "RSS, growth in MB", ",.0f"),
    Column("files_before", "descriptors before"),
    Column("files_most", "most"),
    Column("files_after", "after"),
)
START_COLUMNS = (
    Column("seconds", "seconds until ready", ",.2f"),
    Column("rss_mb", "RSS, MB", ",.0f"),
    Column("files", "descriptors"),
)
OURS, THEIRS = "eventspine, embedded", redis.NAME
_AT_ONCE = 256


class Used(NamedTuple):
    seconds: float
    cpu_us: float
    grown_mb: float
    files_before: float
    files_most: float
    files_after: float


class Started(NamedTuple):
    seconds: float
    rss_mb: float
    files: float


def streams(stage: Stage) -> int:
    if stage.options.tiny:
        return 500
    return 3_000 if stage.options.quick else 100_000


def contenders(stage: Stage) -> list[Row]:
    missing = redis.missing()
    theirs: Row = Contender(THEIRS, lambda: _theirs(stage)[1])
    return [
        Contender(OURS, lambda: _ours(stage)[1]),
        Missing(THEIRS, missing) if missing else theirs,
    ]


def starts(stage: Stage) -> list[Row]:
    missing = redis.missing()
    theirs: Row = Contender(THEIRS, lambda: _start_theirs(_theirs(stage)[0]))
    return [
        Contender("eventspine, /readyz", lambda: _start_ours(_ours(stage)[0])),
        Missing(THEIRS, missing) if missing else theirs,
    ]


@functools.cache
def _written(stage_folder: Path, count: int) -> tuple[Path, Used]:
    root = stage_folder / "many-ours"
    return root, Used(**run_load("once", streams=count, folder=root))


def _ours(stage: Stage) -> tuple[Path, Used]:
    return _written(stage.folder, streams(stage))


def _theirs(stage: Stage) -> tuple[Path, Used]:
    return _written_theirs(stage.folder, streams(stage))


@functools.cache
def _written_theirs(stage_folder: Path, count: int) -> tuple[Path, Used]:
    folder = stage_folder / "many-theirs"
    folder.mkdir()
    server = redis.start(folder)
    try:
        connection = redis.Connection(server.port)
        rss, files, cpu = server.rss_bytes(), server.descriptors(), server.cpu_s()
        began = time.perf_counter()
        for numbers in _pieces(count):
            add = [[b"XADD", b"s%d" % n, b"*", b"e", b"x" * EVENT_BYTES] for n in numbers]
            connection.send(*add)
            for _ in add:
                connection.read()
        seconds, now = time.perf_counter() - began, server.descriptors()
        cpu_us = (server.cpu_s() - cpu) / count * 1e6
        grown = (server.rss_bytes() - rss) / 1e6
        connection.close()
        return folder, Used(seconds, cpu_us, grown, files, max(files, now), now)
    finally:
        server.stop()


def _pieces(count: int) -> Iterator[list[int]]:
    numbers = iter(range(count))
    while piece := list(itertools.islice(numbers, _AT_ONCE)):
        yield piece


def _start_ours(root: Path) -> Started:
    began = time.perf_counter()
    server = eventspine.serve(root, root.parent / "many-ours.log")
    return _started(server, began)


def _start_theirs(folder: Path) -> Started:
    began = time.perf_counter()
    server = redis.start(folder)
    connection = redis.Connection(server.port)
    connection.wait_loaded()
    connection.close()
    return _started(server, began)


def _started(server: Process, began: float) -> Started:
    seconds = time.perf_counter() - began
    found = Started(seconds, server.rss_bytes() / 1e6, server.descriptors())
    server.stop()
    return found
