"""The same append to a stream of 1,000 and of 10,000,000 events: what it costs, what is in memory.

One process embeds the spine and fills streams by batches, the small ones first; memory is measured
after each. Then 64 producers append 2,000 single events to a stream of each size in turn, fifteen
times, and the median stands. The cost is processor time, which other load moves less than the
clock.
"""

from __future__ import annotations

import functools
import shutil
from typing import Any, NamedTuple

from bench.stage import Column, Contender, Row, Stage, run_load

TITLE = "a stream of {first:,} to {last:,} events, embedded, 64 producers"
COLUMNS = (
    Column("cpu_us", "processor µs an append", ",.1f"),
    Column("wall_us", "wall µs an append", ",.1f"),
    Column("p50_ms", "p50 ms", ",.2f"),
    Column("p99_ms", "p99 ms", ",.2f"),
    Column("rss_mb", "RSS, MB", ",.0f"),
)


class Cost(NamedTuple):
    cpu_us: float
    wall_us: float
    p50_ms: float
    p99_ms: float
    rss_mb: float


def sizes(stage: Stage) -> list[int]:
    found = [1_000, 10_000, 100_000, 1_000_000]
    if stage.options.tiny:
        return found[:2]
    return found if stage.options.quick else [*found, 10_000_000]


def row_name(size: int) -> str:
    return f"at {size:,} events"


def contenders(stage: Stage) -> list[Row]:
    """A row for each size, all of one run."""

    @functools.cache
    def passed() -> list[dict[str, Any]]:
        folder = stage.place("flat")
        words = ",".join(map(str, sizes(stage)))
        small = {"warm": 1_000, "settle": 0.1} if stage.options.tiny else {}
        found = run_load("flat", sizes=words, folder=folder / "root", **small)["sizes"]
        shutil.rmtree(folder)
        return list(found)

    def cost(number: int) -> Cost:
        return Cost(**passed()[number])

    return [
        Contender(row_name(size), functools.partial(cost, number))
        for number, size in enumerate(sizes(stage))
    ]
