"""python -m bench.switch_pause [--streams 1000 10000 100000] [--changed 100] [--writers 20]

How long a route is held while it changes over, by how many streams are behind it. Each has one
event; then `--changed` of them are written again, and `--writers` go on writing all the time. The
route goes there and back: from memory to files, and from files to the files of another root.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import anyio

import eventspine
from eventspine import RequestContext, Settings, Spine
from eventspine.contracts.route import ResourceKind, RouteKey, RouteSpec
from eventspine.contracts.settings import LabSettings
from eventspine.contracts.switch import Place

LAB = LabSettings()
CONTEXT = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
KEY = RouteKey(ResourceKind.EVENT_STREAM.value, "t_demo", "dev", "default", "lab")
MEMORY = Place(backend_type="memory", config={"name": "there"})
FILES = Place(backend_type="filesystem", config={"root": "files"})
OTHER = Place(backend_type="filesystem", config={"root": "other"})
WAYS = {"memory to files": (MEMORY, FILES), "files to files": (FILES, OTHER)}
AT_ONCE = 200
EVENT = {"event_type": "t", "payload": {}}


class Took(NamedTuple):
    copy_s: float
    verify_s: float
    pauses_ms: list[float]
    longest_append_ms: float


class Writers:
    """They write again and again, each to a stream of its own."""

    def __init__(self, spine: Spine) -> None:
        self.longest_s = 0.0
        self._spine = spine

    async def run(self, number: int) -> None:
        while True:
            began = time.perf_counter()
            await self._spine.append(f"writer {number}", EVENT, CONTEXT)
            self.longest_s = max(self.longest_s, time.perf_counter() - began)


async def append_to(spine: Spine, streams: Sequence[int]) -> None:
    """One event to each."""
    left = iter(streams)

    async def work() -> None:
        for number in left:
            await spine.append(f"stream {number}", EVENT, CONTEXT)

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(work)


async def there_and_back(
    root: Path, source: Place, target: Place, streams: int, changed: int, writers: int
) -> Took:
    async with eventspine.open(root, lab=True, settings=Settings(lab=LAB)) as spine:
        kind = ResourceKind.EVENT_STREAM
        spec = RouteSpec(resource_kind=kind, **LAB.model_dump(), **source.model_dump())
        await spine.routes.update(spec)
        await append_to(spine, range(streams))
        switches = spine.switches
        await switches.start(KEY, target)
        began = time.perf_counter()
        await switches.copy(KEY)
        await switches.wait_level(KEY)
        copied = time.perf_counter()
        found = await switches.verify(KEY)
        verified = time.perf_counter()
        assert found.verification is not None
        assert found.verification.difference is None
        pauses: list[float] = []
        writing = Writers(spine)
        async with anyio.create_task_group() as tasks:
            for number in range(writers):
                tasks.start_soon(writing.run, number)
            for step in (switches.switch, switches.reverse):
                await append_to(spine, range(changed))
                done = await step(KEY)
                assert done.pause_ms is not None
                pauses.append(done.pause_ms)
                await switches.wait_level(KEY)
            tasks.cancel_scope.cancel()
        await switches.finish(KEY)
    return Took(copied - began, verified - copied, pauses, 1000 * writing.longest_s)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.switch_pause", description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--changed", type=int, default=100)
    parser.add_argument("--writers", type=int, default=20)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    for (way, (source, target)), streams in itertools.product(WAYS.items(), args.streams):
        with TemporaryDirectory() as folder:
            took = anyio.run(
                there_and_back, Path(folder), source, target, streams, args.changed, args.writers
            )
        pauses = ", ".join(f"{pause:.1f}" for pause in took.pauses_ms)
        print(
            f"{way}, {streams} streams: pauses {pauses} ms; copied in {took.copy_s:.1f} s, "
            f"verified in {took.verify_s:.1f} s; longest append {took.longest_append_ms:.0f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
