"""Embedded producers: each appends one event after another, waiting for the disk every time.

The streams exist before, with their files, as those of the peers do after their first round: what
the first append to a stream costs is measured by many_streams. Nothing is removed between rounds:
for minutes after, ext4 makes new files ten times slower, since it passes over each inode that was
freed lately.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import orjson
import uvloop

import eventspine
from bench.load.quiet import quiet
from bench.stage import event_of


async def produce(args: argparse.Namespace, root: Path) -> dict[str, Any]:
    context = eventspine.RequestContext(
        tenant_id="t_demo", env="dev", mode="lab", surface_id="_", app_id="bench"
    )
    event = orjson.loads(event_of())
    async with eventspine.open(root, lab=True) as spine:
        for n in range(args.streams):
            await spine.append(f"s{n}", event, context)
        await quiet(spine, min(0.5, args.seconds / 6))
        latencies: list[float] = []
        until = [time.perf_counter() + 3600]

        async def one(number: int) -> None:
            clock, took = time.perf_counter, latencies.append
            names = [f"s{n}" for n in range(number, number + args.streams, args.producers)]
            names = [f"s{int(name[1:]) % args.streams}" for name in names]
            at = 0
            while True:
                began = clock()
                if began >= until[0]:
                    return
                await spine.append(names[at], event, context)
                took(clock() - began)
                at = at + 1 if at + 1 < len(names) else 0

        tasks = [asyncio.create_task(one(n)) for n in range(args.producers)]
        await asyncio.sleep(min(0.5, args.seconds / 2))  # warm
        latencies.clear()
        cpu, began = time.process_time(), time.perf_counter()
        until[0] = began + args.seconds
        await asyncio.gather(*tasks)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        ordered = sorted(latencies)
    return {
        "per_s": len(ordered) / seconds,
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
        "count": len(ordered),
        "seconds": seconds,
        "server_us": cpu / len(ordered) * 1e6,
        "client_cpu": cpu / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--producers", type=int, default=64)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--folder", required=True, help="of the caller, who removes what is left")
    args = parser.parse_args()
    print(orjson.dumps(uvloop.run(produce(args, Path(mkdtemp(dir=args.folder))))).decode())


if __name__ == "__main__":
    main()
