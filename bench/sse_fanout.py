"""One stream to many live readers, all loaded by the same client.

Over SSE: ours, durable before it is shown; nchan, in memory; Durable Streams. With protocols of
their own: NATS' push consumers, one a connection, and Redis' XREAD BLOCK.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from bench.load import wire
from bench.load.wire import Words
from bench.peers import durable_streams, eventspine, nats, nchan, redis
from bench.process import Process
from bench.stage import Figure, Peer, Row, Stage, under_load

TITLE = "live fan-out to {readers} readers"
UNIT = "deliveries/s"
_names = itertools.count()


def contenders(stage: Stage, readers: int) -> list[Row]:
    def row(peer: Peer, name: str, words: Callable[[Process, str], Words]) -> Row:
        def measure(server: Process) -> Figure:
            said = words(server, f"fan{next(_names)}")  # a new stream: nothing to catch up with
            load = wire.load(
                server.port,
                said,
                readers=readers,
                window=16 if readers <= 100 else 8,
                seconds=stage.seconds,
            )
            return under_load(server, load)

        return stage.row(peer, measure, name=name, client=wire.CLIENT, needs=[wire.missing()])

    return [
        row(eventspine, "eventspine, SSE, durable", _ours),
        row(nchan, "nchan, SSE, in memory", _nchan),
        row(durable_streams, f"{durable_streams.NAME}, SSE", _durable_streams),
        row(nats.NATS, "NATS JetStream, push consumers, ack before fsync", _nats),
        row(redis, "Redis XREAD BLOCK, appendfsync always", lambda _, name: redis.fan_out(name)),
    ]


def _ours(server: Process, name: str) -> Words:
    body = f'{{"event_type":"bench","payload":{wire.payload()}}}'
    return Words(
        publish=wire.http_post(f"/v1/streams/{name}/events", body),
        answer="http",
        subscribe=wire.sse(f"/v1/streams/{name}/sse"),
        subscribe_ends="\r\n\r\n",
    )


def _nchan(server: Process, name: str) -> Words:
    return Words(
        publish=wire.http_post(f"/pub/{name}", wire.long_payload()),
        answer="http",
        subscribe=wire.sse(f"/sub/{name}"),
        subscribe_ends="\r\n\r\n",
    )


def _durable_streams(server: Process, name: str) -> Words:
    durable_streams.make_streams(server.port, name)
    return durable_streams.fan_out(name)


def _nats(server: Process, name: str) -> Words:
    nats.make_stream(server.port, name, f"{name}.*")
    return nats.fan_out(name)
