"""Appends over HTTP, 64 connections: ours on disk, Redis on disk, nchan in memory."""

from __future__ import annotations

from functools import partial

from bench.load import wrk
from bench.peers import eventspine, nchan, redis
from bench.stage import EVENT_BYTES, Contender, Stage, event_of, under_load

TITLE = "appends over the network, 64 connections, {batch} a request"
UNIT = "events/s"
CONNECTIONS = 64
NDJSON = "application/x-ndjson"


def contenders(stage: Stage, batch: int) -> list[Contender]:
    found = []
    missing = wrk.missing()
    if missing:
        stage.skipped["HTTP appends"] = missing
    else:
        found += _over_http(stage, batch)
    server = stage.peer(redis)
    if server is not None:
        load = partial(
            redis.benchmark,
            server.port,
            ["XADD", "s:__rand_int__", "*", "e", "x" * EVENT_BYTES],
            clients=CONNECTIONS,
            requests=int((15_000 if batch == 1 else 80_000) * stage.options.seconds),
            pipeline=batch,
        )
        name = redis.NAME if batch == 1 else f"{redis.NAME}, pipelines of {batch}"
        found.append(Contender(name, lambda: under_load(server, load)))
    return found


def _over_http(stage: Stage, batch: int) -> list[Contender]:
    body = stage.folder / f"body-{batch}"
    body.write_bytes(event_of() if batch == 1 else (event_of() + b"\n") * batch)
    post = partial(wrk.post, connections=CONNECTIONS, seconds=stage.options.seconds, events=batch)
    ours = stage.peer(eventspine)
    assert ours is not None
    kind = "application/json" if batch == 1 else NDJSON
    load = partial(post, ours.port, ("/v1/streams/", "/events"), body, content_type=kind)
    found = [Contender("eventspine, HTTP, durable", lambda: under_load(ours, load))]
    theirs = stage.peer(nchan) if batch == 1 else None  # it has no batches
    if theirs is not None:
        publish = partial(post, theirs.port, ("/pub/", ""), body)
        found.append(Contender(nchan.NAME, lambda: under_load(theirs, publish)))
    return found
