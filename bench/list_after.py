"""Pages of 100 events at the start, in the middle and at the end of a long stream."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import orjson

from bench.load.http import Connection
from bench.peers import eventspine, redis
from bench.process import Process
from bench.stage import EVENT_BYTES, Contender, Figure, Stage, event_of

TITLE = "a page of 100 events {where} of a stream of {events:,}"
UNIT = "pages/s, one connection"
PAGE = 100
WHERE = ("at the start", "in the middle", "at the end")
_BATCH = 5_000


def events(stage: Stage) -> int:
    return 20_000 if stage.options.quick else 1_000_000


def contenders(stage: Stage, where: str) -> list[Contender]:
    after = {"at the start": 0, "in the middle": events(stage) // 2, "at the end": events(stage)}
    position = max(0, after[where] - (PAGE if where == "at the end" else 0))
    found = []
    ours, theirs = stage.peer(eventspine), stage.peer(redis)
    if ours is not None:
        found.append(Contender("eventspine, HTTP", lambda: _ours(stage, ours, position)))
    if theirs is not None:
        found.append(Contender("Redis XRANGE", lambda: _theirs(stage, theirs, position)))
    return found


@functools.cache
def _filled_ours(server: Process, count: int) -> str:
    """Our stream, filled once; the cursor of its epoch."""
    connection = Connection(server.port)
    body, answer = (event_of() + b"\n") * _BATCH, b""
    for _ in range(count // _BATCH):
        answer = connection.post("/v1/streams/long/events", body, "application/x-ndjson")
    connection.close()
    head: str = orjson.loads(answer)["head"]
    return head.partition("_")[0]


def _ours(stage: Stage, server: Process, position: int) -> Figure:
    epoch = _filled_ours(server, events(stage))
    connection = Connection(server.port)
    after = f"&after={epoch}_{position:016d}" if position else ""
    path = f"/v1/streams/long/events?limit={PAGE}{after}"
    page = orjson.loads(connection.get(path))
    assert len(page["events"]) == PAGE
    assert page["events"][0]["sequence"] == position + 1
    figure = _timed(lambda: connection.get(path), server, stage)
    connection.close()
    return figure


@functools.cache
def _filled_theirs(server: Process, count: int) -> bool:
    connection = redis.Connection(server.port)
    connection.send([b"CONFIG", b"SET", b"appendfsync", b"no"])
    connection.read()
    value = b"x" * EVENT_BYTES
    for start in range(1, count + 1, 1000):
        numbers = range(start, start + 1000)
        connection.send(*([b"XADD", b"long", b"%d-0" % n, b"e", value] for n in numbers))
        for _ in numbers:
            connection.read()
    connection.send([b"CONFIG", b"SET", b"appendfsync", b"always"])
    connection.read()
    connection.close()
    return True


def _theirs(stage: Stage, server: Process, position: int) -> Figure:
    _filled_theirs(server, events(stage))
    connection = redis.Connection(server.port)
    command = [b"XRANGE", b"long", b"(%d" % position, b"+", b"COUNT", b"%d" % PAGE]
    connection.send(command)
    reply: Any = connection.read()
    assert len(reply) == PAGE
    assert reply[0][0] == b"%d-0" % (position + 1)
    size = _bytes_of(reply)

    def page() -> None:
        connection.send(command)
        connection.exactly(size)

    figure = _timed(page, server, stage)
    connection.close()
    return figure


def _bytes_of(reply: Any) -> int:
    """How long a reply is on the wire."""
    if isinstance(reply, list):
        return len(b"*%d\r\n" % len(reply)) + sum(map(_bytes_of, reply))
    return len(b"$%d\r\n" % len(reply)) + len(reply) + 2


def _timed(page: Callable[[], object], server: Process, stage: Stage) -> Figure:
    server_s, client_s, began = server.cpu_s(), time.process_time(), time.perf_counter()
    until, took = began + stage.options.seconds / 3, []
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
