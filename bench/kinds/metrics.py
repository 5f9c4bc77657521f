"""Windows of a metric, beside DuckDB over the very file: hourly p95 of all there is, one at a time.

A point a second from 24 series, so that a million are eleven days. DuckDB reads our `raw.jsonl`
with every question, as one does who has only the file; ours has roll-ups in memory, which is what
its growth is. Both answer a percentile for every hour: DuckDB an exact one, ours one of sketches.
"""

from __future__ import annotations

import asyncio

from bench.kinds.rows import columns, embedded, needs, shared_folder
from bench.kinds.spines import CONTEXT, Growth, on_spine
from bench.kinds.timing import Args, closed, in_turn
from bench.stage import Row, Stage
from eventspine import Spine
from eventspine.contracts.errors import DeadlineExceeded
from eventspine.services.metrics import NewPoint

TITLE = "hourly p95 of a metric of {size:,} points"
COLUMNS = columns("query")
DUCKDB = "DuckDB, read_json over raw.jsonl"
T0 = 1_767_225_600  # 2026-01-01T00:00:00Z
BATCH = 10_000
RAW = "root/metrics_store/t_demo/dev/_/raw.jsonl"
QUERY = """
    SELECT time_bucket(INTERVAL 1 hour, ts) AS hour, quantile_disc(value, 0.95), count(*)
    FROM read_json(?, format = 'newline_delimited',
        columns = {'metric_name': 'VARCHAR', 'value': 'DOUBLE', 'ts': 'TIMESTAMP'})
    WHERE metric_name = 'latency_ms' GROUP BY hour ORDER BY hour
"""


def contenders(stage: Stage, size: int) -> list[Row]:
    folder = shared_folder(stage, "metrics", size)
    return [
        embedded(
            stage,
            "eventspine, embedded",
            "metrics.ours",
            size,
            fill="metrics.fill",
            folder=folder,
            client="one task, uvloop",
            missing=needs("datasketches"),
        ),
        embedded(
            stage,
            DUCKDB,
            "metrics.duckdb",
            size,
            fill="metrics.fill",
            folder=folder,
            client="in the process",
            missing=needs("duckdb"),
        ),
    ]


def fill(args: Args) -> None:
    async def ingest(spine: Spine) -> None:
        metrics = spine.metrics_store(CONTEXT)
        for start in range(0, args.size, BATCH):
            numbers = range(start, min(start + BATCH, args.size))
            await metrics.ingest_many(
                NewPoint("latency_ms", n * 7919 % 1000 / 10, {"host": f"h{n % 24}"}, ts=T0 + n)
                for n in numbers
            )

    on_spine(args.folder, ingest)


def ours(args: Args) -> tuple[float, ...]:
    async def measure(spine: Spine) -> tuple[float, ...]:
        growth, metrics = Growth(), spine.metrics_store(CONTEXT)
        end = T0 + args.size

        async def ask(n: int) -> None:
            found = await metrics.aggregate("latency_ms", "p95", start=T0, end=end, step_s=3600)
            assert sum(window.count for window in found.windows) == args.size

        await _first_use(spine)
        return (*await closed(1, args.seconds, ask), growth.mb)

    return on_spine(args.folder, measure)


async def _first_use(spine: Spine) -> None:
    while True:
        try:
            await spine.metrics_store(CONTEXT).get_latest("latency_ms")
        except DeadlineExceeded:
            await asyncio.sleep(0)
            continue
        return


def duckdb(args: Args) -> tuple[float, ...]:
    import duckdb as engine

    with engine.connect() as connection:
        growth, path = Growth(), str(args.folder / RAW)

        def ask(n: int) -> None:
            rows = connection.execute(QUERY, [path]).fetchall()
            assert sum(row[2] for row in rows) == args.size

        return (*in_turn(args.seconds, ask), growth.mb)
