"""Ourselves, as anybody would start us: `init`, `serve`, lab settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.process import Process, free_port

NAME = "eventspine"


def missing() -> str | None:
    return None


def start(folder: Path) -> Process:
    root, port = folder / "eventspine", free_port()
    command = [sys.executable, "-m", "eventspine.cli"]
    subprocess.run(
        [*command, "init", "--if-missing", "--root", str(root)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return Process(
        [*command, "serve", "--root", str(root), "--port", str(port)], port, folder / "es.log"
    )
