"""Appends over HTTP, 64 connections: ours on disk, nchan in memory, the others as they speak.

nchan has no batches. A batch is one NDJSON body for us, one INSERT for PostgreSQL, one array for
Durable Streams; Redis and NATS have none either, and send so many commands before they wait.
"""

from __future__ import annotations

from functools import partial

from bench.embedded_append import of_durable_streams, of_nats, of_postgres, of_redis
from bench.load import wrk
from bench.peers import eventspine, nchan
from bench.process import Process
from bench.stage import Figure, Peer, Row, Stage, event_of, under_load

TITLE = "appends over the network, 64 connections, {batch} a request"
UNIT = "events/s"
CONNECTIONS = 64
OURS = "eventspine, HTTP, durable"
NDJSON = "application/x-ndjson"


def contenders(stage: Stage, batch: int) -> list[Row]:
    kind = "application/json" if batch == 1 else NDJSON
    found = [_over_http(stage, eventspine, OURS, ("/v1/streams/", "/events"), batch, kind)]
    if batch == 1:
        found.append(_over_http(stage, nchan, nchan.NAME, ("/pub/", ""), batch, kind))
    return [
        *found,
        of_redis(stage, CONNECTIONS, batch),
        *of_nats(stage, CONNECTIONS, batch),
        of_postgres(stage, CONNECTIONS, batch),
        of_durable_streams(stage, CONNECTIONS, batch),
    ]


def _over_http(
    stage: Stage, peer: Peer, name: str, path: tuple[str, str], batch: int, kind: str
) -> Row:
    body = stage.folder / f"body-{batch}"

    def measure(server: Process) -> Figure:
        body.write_bytes(event_of() if batch == 1 else (event_of() + b"\n") * batch)
        load = partial(
            wrk.post,
            server.port,
            path,
            body,
            content_type=kind,
            connections=CONNECTIONS,
            seconds=stage.seconds,
            events=batch,
        )
        return under_load(server, load)

    return stage.row(peer, measure, name=name, client="wrk", needs=[wrk.missing()])
