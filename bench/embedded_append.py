"""Durable single appends: our producers inside the process, peers over their own protocols.

Every producer waits for its answer before it appends again. NATS' producers have a connection
each, as redis-benchmark's and pgbench's clients do. The Durable Streams server speaks HTTP alone.
"""

from __future__ import annotations

from functools import partial

from bench.load import wire, wrk
from bench.peers import durable_streams, nats, postgres, redis
from bench.process import Process
from bench.stage import Contender, Figure, Row, Stage, event_of, run_load, under_load

TITLE = "durable single appends, {producers} producers over 1,000 streams"
UNIT = "appends/s"


def contenders(stage: Stage, producers: int) -> list[Row]:
    def ours() -> Figure:
        seconds, folder = stage.seconds, stage.folder
        return under_load(
            None,
            partial(run_load, "producers", producers=producers, seconds=seconds, folder=folder),
        )

    return [
        Contender("eventspine, embedded", ours, "in the process, uvloop"),
        of_redis(stage, producers),
        *of_nats(stage, producers),
        of_postgres(stage, producers),
        of_durable_streams(stage, producers),
    ]


def of_redis(stage: Stage, clients: int, batch: int = 1) -> Row:
    def measure(server: Process) -> Figure:
        requests = int((30_000 if batch == 1 else 150_000) * stage.seconds)
        load = partial(
            redis.appends, server.port, clients=clients, requests=requests, pipeline=batch
        )
        return under_load(server, load)

    name = redis.NAME if batch == 1 else f"{redis.NAME}, pipelines of {batch}"
    return stage.row(redis, measure, name=name, client=redis.CLIENT)


def of_nats(stage: Stage, clients: int, batch: int = 1) -> list[Row]:
    """Its acknowledgements come before the fsync; with sync_interval always, where it has that."""

    def measure(server: Process) -> Figure:
        nats.make_stream(server.port, nats.STREAM_NAME, f"{nats.STREAM_NAME}.*")
        load = wire.load(
            server.port,
            nats.appends(),
            publishers=clients,
            streams=1000,
            pipeline=batch,
            seconds=stage.seconds,
        )
        return under_load(server, load)

    found = []
    for peer in (nats.NATS, nats.NATS_SYNC):
        name = peer.NAME if batch == 1 else f"{peer.NAME}, {batch} in flight"
        found.append(
            stage.row(peer, measure, name=name, client=wire.CLIENT, needs=[wire.missing()])
        )
    return found


def of_postgres(stage: Stage, clients: int, batch: int = 1) -> Row:
    def measure(server: Process) -> Figure:
        seconds = stage.seconds
        load = partial(postgres.insert, server.port, clients=clients, seconds=seconds, rows=batch)
        return under_load(server, load)

    name = postgres.NAME if batch == 1 else f"{postgres.NAME}, {batch} rows an INSERT"
    return stage.row(postgres, measure, name=name, client=postgres.CLIENT)


def of_durable_streams(stage: Stage, clients: int, batch: int = 1) -> Row:
    def measure(server: Process) -> Figure:
        streams = durable_streams.STREAMS
        durable_streams.make_streams(server.port, *(f"s{n}" for n in range(streams)))
        body = stage.folder / f"durable-streams-{batch}.json"
        body.write_bytes(b"[%b]" % b",".join([event_of()] * batch))
        load = partial(
            wrk.post,
            server.port,
            ("/bench/", ""),
            body,
            connections=clients,
            seconds=stage.seconds,
            events=batch,
            streams=streams,
        )
        return under_load(server, load)

    name = f"{durable_streams.NAME}, HTTP, {durable_streams.STREAMS} streams"
    return stage.row(durable_streams, measure, name=name, client="wrk", needs=[wrk.missing()])
