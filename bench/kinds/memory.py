"""Session memory: entries with a time to live, set and read, beside Redis.

Ours has 64 callers in the process, as Redis has 64 connections. A namespace takes 100,000 entries
at most, so that many of them hold a million.
"""

from __future__ import annotations

import asyncio

from bench.kinds.rows import columns, embedded
from bench.kinds.spines import CONTEXT, WORKERS, Growth, on_spine
from bench.kinds.timing import Args, closed, picked
from bench.peers import redis
from bench.stage import Row, Stage
from eventspine import Spine
from eventspine.services.memory import MemoryStoreService

TITLE = "session memory, {size:,} entries of 100 bytes that live for an hour"
COLUMNS = columns("set", "get")
VALUE = b'{"cart":"' + b"x" * 89 + b'"}'
REDIS = "Redis, appendfsync always"
TTL_S = 3600
EACH = 50_000  # entries of a namespace
CALLERS = 1_000  # fewer than may wait for one actor


def contenders(stage: Stage, size: int) -> list[Row]:
    return [
        embedded(stage, "eventspine, embedded", "memory.ours", size, client="64 tasks, uvloop"),
        redis.keyed(stage, REDIS, "memory", size, VALUE, more=("EX", str(TTL_S))),
    ]


def _namespaces(spine: Spine, size: int) -> list[MemoryStoreService]:
    return [spine.memory(CONTEXT, f"n{at}") for at in range(-(-size // EACH))]


def ours_fill(args: Args) -> None:
    async def fill(spine: Spine) -> None:
        spaces = _namespaces(spine, args.size)
        numbers = iter(range(args.size))

        async def some() -> None:
            for n in numbers:
                await spaces[n // EACH].set_json(f"u{n}", VALUE, 24 * TTL_S)

        await asyncio.gather(*(some() for _ in range(CALLERS)))

    on_spine(args.folder, fill)


def ours(args: Args) -> tuple[float, ...]:
    async def measure(spine: Spine) -> tuple[float, ...]:
        growth = Growth()
        spaces, keys = _namespaces(spine, args.size), picked(args.size)

        async def set_one(n: int) -> None:
            key = keys[n % len(keys)]
            await spaces[key // EACH].set_json(f"u{key}", VALUE, TTL_S)

        async def get(n: int) -> None:
            key = keys[n % len(keys)]
            assert await spaces[key // EACH].get_entry(f"u{key}") is not None

        for at, space in enumerate(spaces):
            assert await space.get_entry(f"u{at * EACH}") is not None
        written = await closed(WORKERS, args.seconds, set_one)
        return (*written, *await closed(WORKERS, args.seconds, get), growth.mb)

    return on_spine(args.folder, measure)
