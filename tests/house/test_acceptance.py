"""The six acceptance steps, with curl against a server of their own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_six_steps_pass() -> None:
    done = subprocess.run(
        ["sh", "scripts/test_phase05_acceptance.sh"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  ok  ") >= 20
    assert done.stdout.endswith("all six steps passed\n")
