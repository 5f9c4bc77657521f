"""A long stream read from its first event to its last, in pages of 1,000, over one socket.

Both are asked for the next page when one is there, and both clients take the bytes in without
understanding them: ours looks for `next` at the end of the page, the other knows its ids.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from bench import long_stream
from bench.list_after import CLIENT, OURS, THEIRS
from bench.load.http import Connection
from bench.peers import eventspine, redis
from bench.process import Process
from bench.stage import Figure, Row, Stage

TITLE = "a full read of a stream of {events:,}, pages of 1,000"
UNIT = "events/s"
PAGE = 1_000
_NEXT = re.compile(rb'"next":"([0-9_]+)"')


def contenders(stage: Stage) -> list[Row]:
    events = long_stream.events(stage)
    return [
        stage.row(eventspine, lambda at: _ours(at, events), name=OURS, client=CLIENT),
        stage.row(redis, lambda at: _theirs(at, events), name=THEIRS, client=CLIENT),
    ]


def _ours(server: Process, events: int) -> Figure:
    long_stream.filled_ours(server, events)
    connection = Connection(server.port)
    first = f"/v1/streams/{long_stream.NAME}/events?limit={PAGE}"
    after, read = "", 0

    def page() -> None:
        nonlocal after, read
        body = connection.get(first + after)
        found = _NEXT.search(body, len(body) - 300)
        assert found is not None, body[-300:]
        after, read = f"&after={found[1].decode()}", int(found[1].partition(b"_")[2])

    figure = _timed(page, events, server)
    connection.close()
    assert read == events, f"{read} of {events} read"
    return figure


def _theirs(server: Process, events: int) -> Figure:
    long_stream.filled_theirs(server, events)
    connection = redis.Connection(server.port)
    pages = [
        (long_stream.xrange(after, PAGE), long_stream.xrange_bytes(after, PAGE))
        for after in range(0, events, PAGE)
    ]
    at = iter(pages)

    def page() -> None:
        command, size = next(at)
        connection.send(command)
        connection.exactly(size)

    figure = _timed(page, events, server)
    connection.send([b"PING"])
    assert connection.read() == b"PONG"  # not a byte of the stream is left
    connection.close()
    return figure


def _timed(page: Callable[[], None], events: int, server: Process) -> Figure:
    server_s, client_s, began, took = server.cpu_s(), time.process_time(), time.perf_counter(), []
    for _ in range(events // PAGE):
        now = time.perf_counter()
        page()
        took.append(time.perf_counter() - now)
    seconds = time.perf_counter() - began
    ordered = sorted(took)
    return Figure(
        events / seconds,
        ordered[len(ordered) // 2] * 1e3,
        ordered[int(len(ordered) * 0.99)] * 1e3,
        (time.process_time() - client_s) / seconds,
        (server.cpu_s() - server_s) / events * 1e6,
    )
