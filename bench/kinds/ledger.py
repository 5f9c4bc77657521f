"""An amount reserved and committed, two durable steps, beside PostgreSQL's SELECT … FOR UPDATE.

64 callers over 100 accounts with a limit each. In PostgreSQL a reservation locks its account's row,
looks whether there is room, and is a row of its own: what a budget in SQL is written like.
"""

from __future__ import annotations

import asyncio
import time

from bench.kinds.rows import columns, embedded
from bench.kinds.spines import CONTEXT, WORKERS, Growth, on_spine
from bench.kinds.timing import Args, closed
from bench.peers import postgres, postgres_ledger
from bench.process import Process
from bench.stage import Row, Stage
from eventspine import Spine
from eventspine.contracts.errors import DeadlineExceeded

TITLE = "a ledger of {size:,} entries, reserve and commit, 64 callers over 100 accounts"
COLUMNS = columns("spend")
POSTGRES = "PostgreSQL, SELECT … FOR UPDATE"
ACCOUNTS = 100
CALLERS = 1_000  # fewer than may wait for one actor
LIMIT = 10**15


def contenders(stage: Stage, size: int) -> list[Row]:
    def theirs(server: Process) -> tuple[float, ...]:
        return postgres_ledger.spend(
            server, entries=size, accounts=ACCOUNTS, clients=WORKERS, seconds=stage.seconds
        )

    return [
        embedded(stage, "eventspine, embedded", "ledger.ours", size, client="64 tasks, uvloop"),
        stage.row(postgres, theirs, name=POSTGRES, client=postgres.CLIENT),
    ]


def ours_fill(args: Args) -> None:
    async def fill(spine: Spine) -> None:
        budget, numbers = spine.budget(CONTEXT), iter(range(args.size))
        for account in range(ACCOUNTS):
            await budget.set_limit(f"a{account}", "total", LIMIT)

        async def some() -> None:
            for n in numbers:
                await budget.record(f"first{n}", f"a{n % ACCOUNTS}", 5)

        await asyncio.gather(*(some() for _ in range(CALLERS)))

    on_spine(args.folder, fill)


def ours(args: Args) -> tuple[float, ...]:
    async def measure(spine: Spine) -> tuple[float, ...]:
        budget, growth, run = spine.budget(CONTEXT), Growth(), time.time_ns()
        await _first_use(spine)

        async def spend(n: int) -> None:
            await budget.reserve(f"{run}-{n}", f"a{n % ACCOUNTS}", 5)
            await budget.commit(f"{run}-{n}")

        return (*await closed(WORKERS, args.seconds, spend), growth.mb)

    return on_spine(args.folder, measure)


async def _first_use(spine: Spine) -> None:
    """Have the ledger read, however many waits of `turn_wait_s_max` that takes."""
    while True:
        try:
            await spine.budget(CONTEXT).balance("a0")
        except DeadlineExceeded:
            continue
        return
