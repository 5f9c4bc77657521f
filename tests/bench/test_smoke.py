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


GROUPS = (
    ("embedded_append", "http_append"),
    ("hot_tenant", "sse_fanout", "stalled_readers", "list_after", "full_read"),
    ("cells", "many_streams", "flat"),
    ("tables", "ledger", "metrics"),
    ("vectors", "objects", "memory", "route"),
)


def test_every_comparison_is_in_one_of_the_groups() -> None:
    everything = runner.items(Stage(Path(), Options()))
    assert [name for group in GROUPS for name in group] == list(everything)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("names", GROUPS, ids=lambda names: names[0])
def test_every_comparison_runs_in_small_and_writes_its_page(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    # not in tmp_path: PostgreSQL runs as somebody who may not pass through it
    command = [sys.executable, "-m", "bench", "--tiny", *names]
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
    everything = runner.items(Stage(Path(), Options(tiny=True)))
    keys = [item.key for name in names for item in everything[name]]
    assert [result["key"] for result in results] == keys
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
