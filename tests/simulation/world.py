"""What a schedule must not take from the real world: chance, the time of day, a process id.

And the sizes at which the product starts to do something else, made so small that a schedule of
milliseconds meets all of them.
"""

from __future__ import annotations

import datetime as dt
import importlib
import logging
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

import trio
from typing_extensions import override

from eventspine.actors import audience, host, lookup, subscription
from eventspine.adapters.filesystem import event_stream
from eventspine.adapters.filesystem.streams import ids, runs, stream_files
from eventspine.contracts import event_id
from eventspine.contracts.wire import WallClock
from eventspine.runtime import commit_thread
from eventspine.services.routing import changing
from tests.simulation.plan import Plan

DAY_ZERO_S = 1_800_000_000.0
_Random = random.Random


def virtual_clock() -> WallClock:
    """The time of day, as far as the loop has got."""
    return WallClock(lambda: DAY_ZERO_S + trio.current_time())


class _Stopped(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> _Stopped:
        return cls(2026, 11, 22, 12, 0, 0, 1, tz)


class _FailedAssertions(logging.Handler):
    """Notes the assertions of the product that failed and were caught, as part of an outage."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and isinstance(record.exc_info[1], AssertionError):
            self.found.append(f"an assertion failed: {record.exc_info[1]}")


def _later_caller(rng: _Random, mean_s: float) -> Any:
    """As runtime/ticket.py has it, on a loop where what is ready takes its time."""

    async def call(function: Callable[[], object]) -> None:
        await trio.sleep(rng.expovariate(1 / mean_s))
        function()

    return lambda: lambda _, function: trio.lowlevel.spawn_system_task(call, function)


@contextmanager
def world_of(seed: int, plan: Plan) -> Iterator[list[str]]:
    """Everything random is given by the seed until the block ends; trio's order too.

    Answers the assertions that have failed, as they fail.
    """
    rng = _Random(f"world {seed}")
    sizes = [
        (ids, "RECENT_MAX", rng.choice([2, 3, 8])),
        (ids, "FAN_OUT", 2),
        (runs, "RUN_EVENTS_MAX", rng.choice([1, 3, 256])),
        (audience, "TAIL_LINES_MAX", rng.choice([1, 2, 1024])),
        (stream_files, "STATES_MAX", rng.choice([1, 2, 100])),
        (audience, "READERS_A_PASS", rng.choice([1, 128])),
        (audience, "SLICE_BYTES_MAX", rng.choice([1, 64 * 1024])),
        (subscription, "HISTORY_BYTES", rng.choice([1, 8 * 1024])),
        (event_stream, "SCAN_EVENTS", rng.choice([2, 1024])),
        (event_stream, "ROOM_WAIT_S", rng.choice([0.5, 30.0])),
        (subscription, "HISTORY_EVENTS", rng.choice([2, 512])),
        (lookup, "NEIGHBOURS", rng.choice([1, 128])),
        (commit_thread, "BATCH_ITEMS_MAX", rng.choice([1, 2, 8192])),
    ]
    sizes = [(module, name, plan.sizes.get(name, size)) for module, name, size in sizes]
    seeds = _Random(f"objects {seed}")

    class Seeded(_Random):
        def __init__(self, given: Any = None) -> None:
            super().__init__(seeds.getrandbits(64) if given is None else given)

    trio_run: Any = importlib.import_module("trio._core._run")
    state, level = random.getstate(), logging.root.manager.disable
    asserted, product = _FailedAssertions(), logging.getLogger("eventspine")
    patches: list[Any] = [patch.object(module, name, value) for module, name, value in sizes]
    patches += [
        patch.object(random, "Random", Seeded),
        patch.object(os, "getpid", lambda: 4711),
        patch.object(event_id, "_counter", count(seed).__next__),
        patch.object(changing, "datetime", _Stopped),
        patch.object(product, "handlers", [asserted]),
        patch.object(product, "propagate", False),
        patch.object(trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
    ]
    if plan.passes_s:
        later = _later_caller(_Random(f"later {seed}"), plan.passes_s)
        patches.append(patch.object(host, "later_caller", later))
    try:
        logging.disable(logging.WARNING)
        random.seed(seed)
        trio_run._r.seed(seed)
        for each in patches:
            each.start()
        yield asserted.found
    finally:
        for each in reversed(patches):
            each.stop()
        random.setstate(state)
        logging.disable(level)
