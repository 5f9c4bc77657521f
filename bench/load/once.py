"""Many streams in this process, one event in each, and never again."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from typing import Any

import orjson
import uvloop

import eventspine
from bench.process import descriptors_of, rss_of
from bench.stage import event_of

PRODUCERS = 256


async def once(args: argparse.Namespace) -> dict[str, Any]:
    context = eventspine.RequestContext(
        tenant_id="t_demo", env="dev", mode="lab", surface_id="_", app_id="bench"
    )
    event = orjson.loads(event_of())
    async with eventspine.open(args.folder, lab=True) as spine:
        await spine.append("warm", event, context)
        rss, before, most = rss_of("self"), descriptors_of("self"), 0
        numbers = itertools.count()

        async def producer() -> None:
            while (number := next(numbers)) < args.streams:
                await spine.append(f"s{number}", event, context)

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, descriptors_of("self"))
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(producer() for _ in range(PRODUCERS)))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        watching.cancel()
        grown, after = rss_of("self") - rss, descriptors_of("self")
    return {
        "seconds": seconds,
        "cpu_us": cpu / args.streams * 1e6,
        "grown_mb": grown / 1e6,
        "files_before": before,
        "files_most": max(most, after),
        "files_after": after,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=100_000)
    parser.add_argument("--folder", required=True)
    print(orjson.dumps(uvloop.run(once(parser.parse_args()))).decode())


if __name__ == "__main__":
    main()
