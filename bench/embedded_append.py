"""Durable single appends: our producers inside the process, Redis over its own protocol."""

from __future__ import annotations

from functools import partial

from bench.peers import redis
from bench.stage import EVENT_BYTES, Contender, Stage, run_load, under_load

TITLE = "durable single appends, {producers} producers over 1,000 streams"
UNIT = "appends/s"


def contenders(stage: Stage, producers: int) -> list[Contender]:
    seconds = stage.options.seconds
    folder = stage.folder

    def ours():
        return under_load(
            None,
            partial(run_load, "producers", producers=producers, seconds=seconds, folder=folder),
        )

    found = [Contender("eventspine, embedded", ours)]
    server = stage.peer(redis)
    if server is not None:
        load = partial(
            redis.benchmark,
            server.port,
            ["XADD", "s:__rand_int__", "*", "e", "x" * EVENT_BYTES],
            clients=producers,
            requests=int(15_000 * seconds),
        )
        found.append(Contender(redis.NAME, lambda: under_load(server, load)))
    return found
