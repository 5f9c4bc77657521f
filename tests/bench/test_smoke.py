"""The benchmarks run, and write what they found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.runner import Result
from bench.stage import EVENT_BYTES, Figure, event_of

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_every_comparison_runs_in_small_and_writes_its_page(tmp_path: Path) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench", "--quick", "--folder", str(tmp_path)]
    done = subprocess.run(
        [*command, "--report", str(page), "--json", str(figures)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(figures.read_text())["results"]
    assert len(results) == 4
    for result in results:
        assert result["title"][1:] in page.read_text()
        for contender in result["contenders"].values():
            assert contender["median"]["per_s"] > 0
    assert (tmp_path / "img" / "performance.svg").read_text().startswith("<svg")


def test_an_event_is_as_long_as_it_is_said_to_be() -> None:
    assert len(event_of()) == EVENT_BYTES
    assert json.loads(event_of())["event_type"] == "bench"


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    ours = [Figure(per_s, 1, 2) for per_s in (10, 100, 30)]
    theirs = [Figure(per_s, 1, 2) for per_s in (10, 10, 10)]
    result = Result("t", "u", 0.0, {"ours": ours, "theirs": theirs})
    assert result.ratio("theirs") == 3.0
    assert result.median("ours").per_s == 30
