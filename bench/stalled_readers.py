"""What readers that take nothing cost the server: 40 MB pass, they read only the head.

Every measurement starts a server of its own, since memory once taken is not always given back.
First the same amount passes through another stream with nobody listening: what that takes at most
is what appends themselves need, and the growth is what goes beyond it. The row without readers is
what is left of that.
"""

from __future__ import annotations

import socket
from typing import NamedTuple

from bench.load.http import Connection
from bench.long_stream import NDJSON
from bench.peers import eventspine
from bench.stage import Column, Contender, Row, Stage, event_of

TITLE = "10 stalled SSE readers while 40 MB pass"
COLUMNS = (
    Column("grown_mb", "most of the server's RSS, growth in MB", ",.1f"),
    Column("rss_mb", "most of its RSS, MB", ",.0f"),
)
READERS = 10
_BATCH = 2_000


class Memory(NamedTuple):
    grown_mb: float
    rss_mb: float


def contenders(stage: Stage) -> list[Row]:
    return [
        Contender(f"eventspine, {READERS} stalled readers", lambda: _measure(stage, READERS)),
        Contender("eventspine, no readers", lambda: _measure(stage, 0)),
    ]


def _measure(stage: Stage, readers: int) -> Memory:
    server = eventspine.start(stage.place("stalled"))
    try:
        connection = Connection(server.port)
        body = (event_of() + b"\n") * _BATCH
        posts = (2_000_000 if stage.options.tiny else 40_000_000) // len(body)

        def pass_through(stream: str) -> float:
            most = 0
            for _ in range(posts):
                connection.post(f"/v1/streams/{stream}/events", body, NDJSON)
                most = max(most, server.rss_bytes())
            return most

        before = max(pass_through("warm"), pass_through("warm"))
        sockets = [_stalled(server.port, "watched") for _ in range(readers)]
        most = pass_through("watched")
        for sock in sockets:
            sock.close()
        connection.close()
        return Memory((most - before) / 1e6, most / 1e6)
    finally:
        server.stop()


def _stalled(port: int, stream: str) -> socket.socket:
    """A reader that has seen the answer begin, and will never take another byte."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    head = f"GET /v1/streams/{stream}/sse HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    sock.sendall(f"{head}Accept: text/event-stream\r\n\r\n".encode())
    status = sock.recv(64)
    if not status.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"a reader was refused: {status!r}")
    return sock
