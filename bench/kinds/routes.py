"""What a resolved route costs the hot path: from a context to the backend and where its data is.

The very looks that an append, and an operation of any other kind, begins with, timed alone in a
process with nothing else to do: the best of many rounds, since all else only adds to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from bench.kinds.rows import shared_folder
from bench.kinds.spines import CONTEXT, on_spine
from bench.kinds.timing import Args
from bench.stage import Column, Contender, Row, Stage, run_load
from eventspine import Spine
from eventspine.contracts.route import ResourceKind

TITLE = "a resolved route on the hot path"
COLUMNS = (Column("ns", "ns each", ",.0f"),)
STREAM = "event stream: from a context to backend and stream"
OTHERS = "any other kind: from a context to backend and prefix"
LOOKS = 20_000
ROUNDS = 30


def contenders(stage: Stage) -> list[Row]:
    folder = shared_folder(stage, "routes", 0)

    def measure(load: str) -> tuple[float, ...]:
        found = run_load("kind", load=load, folder=folder(), size=LOOKS, seconds=0)
        return tuple(found["numbers"])

    return [
        Contender(STREAM, partial(measure, "routes.of_stream")),
        Contender(OTHERS, partial(measure, "routes.of_others")),
    ]


def of_stream(args: Args) -> tuple[float]:
    async def measure(spine: Spine) -> tuple[float]:
        await spine.append("s", {"event_type": "bench", "payload": {}}, CONTEXT)
        known = spine._bindings.known

        def looks(count: int) -> None:
            for _ in range(count):
                binding = known.get(CONTEXT.scope)
                assert binding is not None
                binding.place("s")

        return (best(looks, args.size),)

    return on_spine(args.folder, measure)


def of_others(args: Args) -> tuple[float]:
    async def measure(spine: Spine) -> tuple[float]:
        await spine.tables(CONTEXT).upsert("t", "k", 1)
        known, kind = spine._journals._known, ResourceKind.TABULAR_STORE

        def looks(count: int) -> None:
            for _ in range(count):
                bound = known.get((kind, CONTEXT.scope))
                assert bound is not None

        return (best(looks, args.size),)

    return on_spine(args.folder, measure)


def best(looks: Callable[[int], None], count: int) -> float:
    """Nanoseconds of one look, without the loop around it."""

    def took(work: Callable[[int], None]) -> float:
        began = time.perf_counter_ns()
        work(count)
        return time.perf_counter_ns() - began

    empty = min(took(_nothing) for _ in range(ROUNDS))
    return (min(took(looks) for _ in range(ROUNDS)) - empty) / count


def _nothing(count: int) -> None:
    for _ in range(count):
        pass
