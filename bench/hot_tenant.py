"""What a busy tenant costs a quiet one: p99 of a steady trickle, alone and beside the other.

The quiet tenant appends 100 times a second; the hot one 20 times as often, or as often as 64
connections can (wrk). All are open loops but wrk. Nothing tells the two apart: same backend, same
log, same process.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import orjson

from bench.load import wrk
from bench.load.http import Connection
from bench.peers import eventspine
from bench.process import Process
from bench.stage import REPOSITORY, Contender, Missing, Row, Stage, event_of, run_load

TITLE = "a quiet tenant beside a hot one, 100 appends a second"
UNIT = "appends/s"
QUIET, HOT = "t_quiet", "t_hot"
RATE, HOT_RATE = 100, 2000
ALONE = "alone"
BESIDE = f"beside {HOT_RATE:,} a second"
SATURATED = "beside 64 connections that never pause"


class Paced(NamedTuple):
    per_s: float
    p50_ms: float
    p99_ms: float


def contenders(stage: Stage) -> list[Row]:
    def row(name: str, hot: Callable[[Process], Iterator[None]]) -> Contender:
        return Contender(name, lambda: _measure(stage, contextmanager(hot)))

    saturated = row(SATURATED, lambda server: _wrk(stage, server))
    return [
        row(ALONE, _nobody),
        row(BESIDE, lambda server: _paced(stage, server)),
        Missing(SATURATED, wrk.missing() or "") if wrk.missing() else saturated,
    ]


def _measure(stage: Stage, hot: Callable[[Process], AbstractContextManager[None]]) -> Paced:
    server = stage.server(eventspine)
    _make_routes(server.port)
    with hot(server):
        found = run_load(
            "paced", port=server.port, tenant=QUIET, rate=RATE, seconds=_seconds(stage)
        )
    if found["errors"]:
        raise RuntimeError(f"{found['errors']} requests failed")
    return Paced(found["per_s"], found["p50_ms"], found["p99_ms"])


def _seconds(stage: Stage) -> float:
    return 2 * stage.seconds


def _make_routes(port: int) -> None:
    connection = Connection(port)
    known = connection.get("/v1/routes")
    for tenant in (QUIET, HOT):
        if f'"{tenant}"'.encode() not in known:
            route = {
                "resource_kind": "event_stream",
                "tenant_id": tenant,
                "env": "dev",
                "mode": "lab",
                "backend_type": "filesystem",
            }
            connection.post("/v1/routes", orjson.dumps(route), "application/json")
    connection.close()


def _nobody(server: Process) -> Iterator[None]:
    yield


def _paced(stage: Stage, server: Process) -> Iterator[None]:
    words = ["--port", str(server.port), "--tenant", HOT, "--rate", str(HOT_RATE)]
    words += ["--connections", "16", "--seconds", str(_seconds(stage) + 2)]
    yield from _beside([sys.executable, "-m", "bench.load.paced", *words])


def _wrk(stage: Stage, server: Process) -> Iterator[None]:
    body = stage.folder / "body-hot"
    body.write_bytes(event_of())
    command = ["wrk", "-t1", "-c64", f"-d{round(_seconds(stage) + 2)}", "-H", f"X-Tenant-Id: {HOT}"]
    command += ["-s", str(wrk.SCRIPT), f"http://127.0.0.1:{server.port}/", "--"]
    yield from _beside([*command, "/v1/streams/", "/events", "1000", str(body), "application/json"])


def _beside(command: list[str]) -> Iterator[None]:
    busy = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        busy.terminate()
        busy.wait()
