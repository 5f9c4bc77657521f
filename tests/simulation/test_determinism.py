"""A schedule is its seed: the same in every process, whatever the addresses and hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.schedule import run

SEEDS = "range(2_000_000, 2_000_010)"
PROGRAM = f"""
from tests.simulation.schedule import run
print([(run(seed).digest, run(seed).operations) for seed in {SEEDS}])
"""


def test_a_seed_is_one_schedule() -> None:
    assert run(3_000_000) == run(3_000_000)
    assert run(3_000_000).digest != run(3_000_001).digest


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_three_processes_see_the_same_schedules() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": str(n), "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in range(3)
    ]
    assert len(said[0]) > 100
    assert said[0] == said[1] == said[2]


def test_the_command_repeats_a_schedule_and_tells_what_happens() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "3000000", "-v"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "machine    up" in done.stdout
    assert f"digest {run(3_000_000).digest}" in done.stdout
