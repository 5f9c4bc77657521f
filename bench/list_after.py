"""Pages of 100 events at the start, in the middle and at the end of a long stream."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson

from bench import long_stream
from bench.load.http import Connection
from bench.peers import eventspine, redis
from bench.process import Process
from bench.stage import Figure, Row, Stage

TITLE = "a page of 100 events {where} of a stream of {events:,}"
UNIT = "pages/s, one connection"
OURS, THEIRS = "eventspine, HTTP", "Redis XRANGE"
PAGE = 100
CLIENT = "a socket, Python"
WHERE = {"start": "at the start", "middle": "in the middle", "end": "at the end"}


def contenders(stage: Stage, where: str) -> list[Row]:
    events = long_stream.events(stage)
    position = {"start": 0, "middle": events // 2, "end": events - PAGE}[where]
    return [
        stage.row(eventspine, lambda at: _ours(stage, at, position), name=OURS, client=CLIENT),
        stage.row(redis, lambda at: _theirs(stage, at, position), name=THEIRS, client=CLIENT),
    ]


def _ours(stage: Stage, server: Process, position: int) -> Figure:
    epoch = long_stream.filled_ours(server, long_stream.events(stage))
    connection = Connection(server.port)
    after = f"&after={epoch}_{position:016d}" if position else ""
    path = f"/v1/streams/{long_stream.NAME}/events?limit={PAGE}{after}"
    page = orjson.loads(connection.get(path))
    assert len(page["events"]) == PAGE
    assert page["events"][0]["sequence"] == position + 1
    figure = _timed(lambda: connection.get(path), server, stage)
    connection.close()
    return figure


def _theirs(stage: Stage, server: Process, position: int) -> Figure:
    long_stream.filled_theirs(server, long_stream.events(stage))
    connection = redis.Connection(server.port)
    command = long_stream.xrange(position, PAGE)
    connection.send(command)
    reply = connection.read()
    assert len(reply) == PAGE
    assert reply[0][0] == b"%d-0" % (position + 1)
    size = long_stream.bytes_of(reply)

    def page() -> None:
        connection.send(command)
        connection.exactly(size)

    figure = _timed(page, server, stage)
    connection.close()
    return figure


def _timed(page: Callable[[], object], server: Process, stage: Stage) -> Figure:
    server_s, client_s, began = server.cpu_s(), time.process_time(), time.perf_counter()
    until, took = began + stage.seconds / 3, []
    while (now := time.perf_counter()) < until:
        page()
        took.append(time.perf_counter() - now)
    seconds = time.perf_counter() - began
    ordered = sorted(took)
    return Figure(
        len(took) / seconds,
        ordered[len(ordered) // 2] * 1e3,
        ordered[int(len(ordered) * 0.99)] * 1e3,
        (time.process_time() - client_s) / seconds,
        (server.cpu_s() - server_s) / len(took) * 1e6,
    )
