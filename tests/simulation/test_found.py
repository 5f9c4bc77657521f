"""Schedules that once broke a promise. The bug was in the product; the seed stays."""

from __future__ import annotations

import pytest

from tests.simulation.schedule import run

FOUND = {
    9: "on a full disk, a stream written in part and forgotten was taken for damaged",
    2458: "a failed write to LOCK left its descriptor open, and so the root locked",
    1792: "a segment whose head could not be written stayed open",
}


@pytest.mark.parametrize("seed", FOUND)
def test_a_schedule_that_once_failed_keeps_every_promise(seed: int) -> None:
    outcome = run(seed)
    assert not outcome.verdict, str(outcome)
