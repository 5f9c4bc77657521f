"""What cells cost: bytes per idle key, activation, live turn, turn, contended turn.

Run: python -m bench.cells [cells [backend]]. CPU time, so a loaded machine changes ratios little.
The comparisons take the million on uvloop from here (`contenders`), in a process of its own.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import anyio
import orjson
from anyio import create_task_group
from anyio.lowlevel import checkpoint

from bench.process import rss_of
from bench.stage import REPOSITORY, Column, Contender, Row, Stage
from eventspine.runtime.directory import Directory
from eventspine.runtime.limits import DirectoryLimits
from eventspine.testing.virtual_time import backend_of

TITLE = "{cells:,} idle cells, on uvloop, without disk"
COLUMNS = (
    Column("bytes_each", "bytes each, key included"),
    Column("activation_us", "activation, µs", ",.1f"),
    Column("collection_ms", "full garbage collection, ms"),
)
JSON = "json"
TURNS = 50_000
CALLERS, ROUNDS = 50, 200


class Cells(NamedTuple):
    bytes_each: float
    activation_us: float
    collection_ms: float


def cells(stage: Stage) -> int:
    return 1_000 if stage.options.tiny else 1_000_000


def contenders(stage: Stage) -> list[Row]:
    def measure() -> Cells:
        command = [sys.executable, "-m", "bench.cells", str(cells(stage)), "uvloop", JSON]
        done = subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY, timeout=300)
        found = orjson.loads(done.stdout)
        return Cells(
            found["bytes per cell, key included (RSS)"],
            found["activation us"],
            found["full collection ms"],
        )

    return [Contender("eventspine, the kernel alone", measure)]


async def activate(key: str) -> None:
    return None


async def nothing(state: None) -> None:
    return None


async def suspend(state: None) -> None:
    await checkpoint()


def directory(cells: int = 10) -> Directory[None]:
    limits = DirectoryLimits(cells_max=max(cells, 10), waiters_max=CALLERS)
    return Directory("bench", activate, limits=limits)


async def cpu_s(work: Callable[[], Awaitable[object]]) -> float:
    began = time.process_time()
    await work()
    return time.process_time() - began


async def turns() -> dict[str, float]:  # noqa: C901 - a list of measurements
    one = directory()
    await one.turn("k", nothing)

    async def live() -> None:
        take = one.live
        for _ in range(TURNS * 10):
            take("k")

    async def live_fair() -> None:
        for _ in range(TURNS):
            await one.fairness()
            one.live("k")

    async def turn() -> None:
        for _ in range(TURNS):
            await one.turn("k", nothing)

    async def nested() -> None:
        async def many(state: None) -> None:
            for _ in range(TURNS):
                await one.turn("other", nothing)

        await one.turn("k", many)

    async def contended() -> None:
        async def caller() -> None:
            for _ in range(ROUNDS):
                await one.turn("k", suspend)

        async with create_task_group() as tasks:
            for _ in range(CALLERS):
                tasks.start_soon(caller)

    async def bare_checkpoints() -> None:
        for _ in range(CALLERS * ROUNDS):
            await checkpoint()

    empty = time.process_time()
    for _ in range(TURNS * 10):
        pass
    empty = time.process_time() - empty
    return {
        "live turn ns": ((await cpu_s(live)) - empty) / TURNS / 10 * 1e9,
        "live turn with fairness ns": (await cpu_s(live_fair)) / TURNS * 1e9,
        "turn us": (await cpu_s(turn)) / TURNS * 1e6,
        "nested turn us": (await cpu_s(nested)) / TURNS * 1e6,
        f"contended turn us ({CALLERS} callers, work suspends)": (await cpu_s(contended))
        / (CALLERS * ROUNDS)
        * 1e6,
        "a bare checkpoint us": (await cpu_s(bare_checkpoints)) / (CALLERS * ROUNDS) * 1e6,
    }


async def million(count: int) -> dict[str, float]:
    many = directory(count)
    keys_bytes = count * sys.getsizeof("tenant/00000000")
    gc.collect()
    before = rss_of("self")

    async def fill() -> None:
        for number in range(count):
            await many.turn(f"tenant/{number:08d}", nothing)

    gc.disable()
    filled_s = await cpu_s(fill)
    gc.enable()
    used = rss_of("self") - before
    began = time.process_time()
    gc.collect()
    collected_s = time.process_time() - began

    longest_s = 0.0
    last = time.perf_counter()
    began = time.process_time()
    for _ in many._population.passivate_untouched_since(many._population.next_tick()):
        longest_s = max(longest_s, time.perf_counter() - last)
        await checkpoint()
        last = time.perf_counter()
    assert len(many) == 0
    return {
        "cells": count,
        "bytes per cell, key included (RSS)": used / count,
        "of these, the key": keys_bytes / count,
        "activation us": filled_s / count * 1e6,
        "full collection ms": collected_s * 1e3,
        "idle passivation us per cell": (time.process_time() - began) / count * 1e6,
        "its longest slice ms (wall)": longest_s * 1e3,
    }


def show(title: str, figures: dict[str, float]) -> None:
    print(title)
    for name, value in figures.items():
        print(f"  {name:52} {value:12.2f}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        backend, options = backend_of(sys.argv[2])
        if sys.argv[3:] == [JSON]:
            found = anyio.run(million, count, backend=backend, backend_options=options)
            print(orjson.dumps(found).decode())
            return
        show(sys.argv[2], anyio.run(turns, backend=backend, backend_options=options))
        show("", anyio.run(million, count, backend=backend, backend_options=options))
        return
    for name in ("asyncio", "uvloop", "trio"):  # each in a process of its own: RSS never shrinks
        subprocess.run([sys.executable, "-m", "bench.cells", str(count), name], check=True)


if __name__ == "__main__":
    main()
