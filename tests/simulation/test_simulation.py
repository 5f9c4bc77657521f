"""Thousands of short lives of the whole product on a simulated disk; each keeps every promise.

2,000 schedules unless $EVENTSPINE_TORTURE_ROUNDS says otherwise: 80 for each round. Their seeds
begin at 0, so that everybody runs the same ones, unless rounds were asked for: then at a number of
the moment, or at $EVENTSPINE_TORTURE_SEED.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.simulation.schedule import run
from tests.torture.report import Report

ROUNDS = os.environ.get("EVENTSPINE_TORTURE_ROUNDS")
CHUNKS = 40
SCHEDULES = 80 * int(ROUNDS or "25")
FIRST = int(
    os.environ.get("EVENTSPINE_TORTURE_SEED") or (time.time_ns() % 1_000_000_007 if ROUNDS else 0)
)


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    report = Report("simulation", FIRST, data="made of the seed")
    yield report
    report.write()


def survive(seeds: range, report: Report) -> None:
    """Run the schedules, and fail with all that is wrong in the first that breaks a promise."""
    sums = report.figures
    for seed in seeds:
        outcome = run(seed)
        report.fault("schedules")
        for name in ("acknowledged", "starts", "operations"):
            sums[name] = sums.get(name, 0) + getattr(outcome, name)
        report.violations += bool(outcome.verdict)
        assert not outcome.verdict, str(outcome)


def test_a_few_schedules_keep_every_promise(report: Report) -> None:
    survive(range(1_000_000, 1_000_005), report)


@pytest.mark.torture
@pytest.mark.timeout(120 + SCHEDULES // CHUNKS)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_schedules_keep_every_promise(chunk: int, report: Report) -> None:
    survive(range(FIRST + chunk, FIRST + SCHEDULES, CHUNKS), report)
