"""Streams of one size and another in this process, and single appends to them, in turns."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import time
from typing import Any

import orjson
import uvloop

import eventspine
from bench.load.quiet import quiet
from bench.process import rss_of
from bench.stage import event_of

STREAM = "flat"
PRODUCERS = 64
APPENDS, TIMES = 2_000, 15
SMALL = 100_000
_BATCH = 5_000
_FILLERS = 4


async def flat(args: argparse.Namespace) -> dict[str, Any]:
    context = eventspine.RequestContext(
        tenant_id="t_demo", env="dev", mode="lab", surface_id="_", app_id="bench"
    )
    event = orjson.loads(event_of())
    async with eventspine.open(args.folder, lab=True) as spine:

        async def appends(stream: str) -> dict[str, float]:
            numbers, took = itertools.count(), []

            async def producer() -> None:
                while next(numbers) < APPENDS:
                    began = time.perf_counter()
                    await spine.append(stream, event, context)
                    took.append(time.perf_counter() - began)

            cpu, began = time.process_time(), time.perf_counter()
            await asyncio.gather(*(producer() for _ in range(PRODUCERS)))
            ordered = sorted(took)
            return {
                "cpu_us": (time.process_time() - cpu) / APPENDS * 1e6,
                "wall_us": (time.perf_counter() - began) / APPENDS * 1e6,
                "p50_ms": ordered[APPENDS // 2] * 1e3,
                "p99_ms": ordered[int(APPENDS * 0.99)] * 1e3,
            }

        async def fill(stream: str, events: int) -> None:
            pieces = iter([_BATCH] * (events // _BATCH) + [events % _BATCH] * (events % _BATCH > 0))

            async def filler() -> None:
                for count in pieces:
                    await spine.append_batch(stream, [event] * count, context)

            await asyncio.gather(*(filler() for _ in range(_FILLERS)))

        # What filling itself needs is in memory before anything is measured.
        await fill("warm", args.warm)
        await appends("warm")
        streams, rss_mb = [], []
        for size in args.sizes:
            # where so many more would not leave it the size it is, each time has its own
            names = [f"{STREAM}-{size}-{n}" for n in range(TIMES if size <= SMALL else 1)]
            for name in names:
                await fill(name, size)
            streams.append(itertools.cycle(names))
            await quiet(spine, args.settle)
            rss_mb.append(rss_of("self") / 1e6)
        # Round by round, since the machine has better seconds and worse ones.
        rounds = [[await appends(next(names)) for names in streams] for _ in range(TIMES)]
        found = [
            {name: statistics.median(one[name] for one in each) for name in each[0]}
            for each in zip(*rounds, strict=True)
        ]
    return {"sizes": [{**one, "rss_mb": mb} for one, mb in zip(found, rss_mb, strict=True)]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")])
    parser.add_argument("--warm", type=int, default=2_000_000)
    parser.add_argument("--settle", type=float, default=2.0, help="after the files have it all, s")
    parser.add_argument("--folder", required=True)
    print(orjson.dumps(uvloop.run(flat(parser.parse_args()))).decode())


if __name__ == "__main__":
    main()
