"""One stream to many SSE readers: ours durable before it is shown, nchan in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from bench.peers import eventspine, nchan
from bench.process import Process
from bench.stage import Contender, Figure, Stage, run_load, under_load

TITLE = "SSE fan-out to {readers} readers"
UNIT = "deliveries/s"
_channels = itertools.count()


def contenders(stage: Stage, readers: int) -> list[Contender]:
    def against(server: Process, subscribe: str, publish: str, own: bool) -> Callable[[], Figure]:
        def measure() -> Figure:
            name = f"fan{next(_channels)}"  # a new stream each time: nothing to catch up with
            load: dict[str, object] = {
                "port": server.port,
                "subscribe": subscribe.format(name),
                "publish": publish.format(name),
                "enveloped": own,
                "readers": readers,
                "window": 16 if readers <= 100 else 8,
                "seconds": stage.options.seconds,
            }
            return under_load(server, lambda: _complete(run_load("fanout", **load)))

        return measure

    found = []
    ours, theirs = stage.peer(eventspine), stage.peer(nchan)
    if ours is not None:
        measure = against(ours, "/v1/streams/{}/sse", "/v1/streams/{}/events", True)
        found.append(Contender("eventspine, durable", measure))
    if theirs is not None:
        found.append(Contender(nchan.NAME, against(theirs, "/sub/{}", "/pub/{}", False)))
    return found


def _complete(found: dict[str, Any]) -> dict[str, Any]:
    if found["missing"]:
        raise RuntimeError(f"{found['missing']} deliveries are missing")
    return found
