"""A stream of a million events, filled once in every server that pages are read from."""

from __future__ import annotations

import functools
from typing import Any

import orjson

from bench.load.http import Connection
from bench.peers import redis
from bench.process import Process
from bench.stage import EVENT_BYTES, Stage, event_of

NAME = "long"
NDJSON = "application/x-ndjson"
_BATCH = 5_000


def events(stage: Stage) -> int:
    if stage.options.tiny:
        return 20_000
    return 200_000 if stage.options.quick else 1_000_000


@functools.cache
def filled_ours(server: Process, count: int) -> str:
    """The epoch of its cursors."""
    connection = Connection(server.port)
    body, answer = (event_of() + b"\n") * _BATCH, b""
    for _ in range(count // _BATCH):
        answer = connection.post(f"/v1/streams/{NAME}/events", body, NDJSON)
    connection.close()
    head: str = orjson.loads(answer)["head"]
    return head.partition("_")[0]


@functools.cache
def filled_theirs(server: Process, count: int) -> None:
    """In Redis, with ids from 1-0; its log is not synced for that long."""
    connection = redis.Connection(server.port)
    connection.send([b"CONFIG", b"SET", b"appendfsync", b"no"])
    connection.read()
    value = b"x" * EVENT_BYTES
    for start in range(1, count + 1, 1000):
        numbers = range(start, start + 1000)
        key = NAME.encode()
        connection.send(*([b"XADD", key, b"%d-0" % n, b"e", value] for n in numbers))
        for _ in numbers:
            connection.read()
    connection.send([b"CONFIG", b"SET", b"appendfsync", b"always"])
    connection.read()
    connection.close()


def xrange(after: int, count: int) -> list[bytes]:
    return [b"XRANGE", NAME.encode(), b"(%d" % after, b"+", b"COUNT", b"%d" % count]


def xrange_bytes(after: int, count: int) -> int:
    """How long the answer to it is on the wire."""
    ids = (f"{number}-0" for number in range(after + 1, after + 1 + count))
    rest = len(f"*2\r\n*2\r\n$1\r\ne\r\n${EVENT_BYTES}\r\n\r\n") + EVENT_BYTES
    each = sum(len(f"${len(id_)}\r\n{id_}\r\n") + rest for id_ in ids)
    return len(f"*{count}\r\n") + each


def bytes_of(reply: Any) -> int:
    """How long a reply was on the wire."""
    if isinstance(reply, list):
        return len(b"*%d\r\n" % len(reply)) + sum(map(bytes_of, reply))
    return len(b"$%d\r\n" % len(reply)) + len(reply) + 2
