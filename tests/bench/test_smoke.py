"""The benchmarks run, and write what they found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import runner
from bench.stage import EVENT_BYTES, Options, Stage, event_of

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_every_comparison_runs_in_small_and_writes_its_page(tmp_path: Path) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    # not in tmp_path: PostgreSQL runs as somebody who may not pass through it
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--tiny", "--report", str(page), "--json", str(figures)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=190,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(figures.read_text())["results"]
    everything = runner.items(Stage(Path(), Options(tiny=True)))
    assert [result["key"] for result in results] == [
        item.key for items in everything.values() for item in items
    ]
    for result in results:
        assert result["title"][1:] in page.read_text()
        assert [why for why in result["missing"].values() if "failed" in why] == []
        for contender in result["contenders"].values():
            assert contender["median"].get("per_s", 1) > 0
        chart = tmp_path / "img" / "performance" / (result["key"].replace("/", "-") + ".svg")
        assert chart.read_text().startswith("<svg")


def test_an_event_is_as_long_as_it_is_said_to_be() -> None:
    assert len(event_of()) == EVENT_BYTES
    assert json.loads(event_of())["event_type"] == "bench"
