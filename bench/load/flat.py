"""One stream in this process, filled to one size after another; single appends timed at each."""

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
APPENDS, TIMES = 2_000, 3
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
        for _ in range(TIMES):
            await appends("warm")
            await quiet(spine, args.settle)
        found, held = [], 0
        for size in args.sizes:
            await fill(STREAM, size - held)
            held = size
            await quiet(spine, args.settle)
            each = [await appends(STREAM) for _ in range(TIMES)]
            medians = {name: statistics.median(one[name] for one in each) for name in each[0]}
            found.append({**medians, "rss_mb": rss_of("self") / 1e6})
    return {"sizes": found}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")])
    parser.add_argument("--warm", type=int, default=2_000_000)
    parser.add_argument("--settle", type=float, default=2.0, help="after the files have it all, s")
    parser.add_argument("--folder", required=True)
    print(orjson.dumps(uvloop.run(flat(parser.parse_args()))).decode())


if __name__ == "__main__":
    main()
