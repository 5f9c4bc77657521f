"""The canvas's way of merging, without a browser: whatever the order, one text."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "converge.mjs"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="no node: apt-get install nodejs")
@pytest.mark.parametrize("seed", [1, 7, 2026])
def test_canvases_that_read_the_same_stream_show_the_same_text(seed: int) -> None:
    command = ["node", str(SCRIPT), str(seed), "200"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
