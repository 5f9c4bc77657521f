"""The commands people are told to type."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.reader import free_port, reading
from tests.docs.scenario import Step

ROOT = Path(__file__).parents[2]
UNNAMED = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"}


def make(*arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in UNNAMED}
    done = subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_make_alone_lists_every_target_in_one_line() -> None:
    listed = re.findall(r"^make (\w+) +\S", make(), re.MULTILINE)
    assert {"serve", "test", "check", "torture", "bench", "format", "lock", "clean"} <= set(listed)


def test_contributing_names_only_targets_that_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"`make (\w+)", (ROOT / "CONTRIBUTING.md").read_text())
    assert set(named) <= targets


@pytest.mark.slow
def test_make_serve_answers(tmp_path: Path) -> None:
    if not (ROOT / ".venv/stamp-runtime").exists():
        pytest.skip("needs the environment that make makes")
    if importlib.util.find_spec("eventspine.cli.main") is None:
        pytest.skip("there is no eventspine command yet")
    port = free_port()
    folder = tmp_path / "reader"
    folder.mkdir()
    command = f"make -C '{ROOT}' serve PORT={port} ROOT='{tmp_path}/var'"
    with reading(folder, port) as reader:
        reader.take(Step("sh", command, 1, ready_url=f"http://127.0.0.1:{port}/"))
    assert (tmp_path / "var").is_dir()


def test_ci_runs_what_people_run() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("make test")
