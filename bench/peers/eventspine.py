"""Ourselves, as anybody would start us: `init`, `serve`, lab settings."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.load.http import Connection
from bench.process import READY_S_MAX, Process, free_port

NAME = "eventspine"
_COMMAND = [sys.executable, "-m", "eventspine.cli"]


def missing() -> str | None:
    return None


def start(folder: Path) -> Process:
    root = folder / "eventspine"
    command = [*_COMMAND, "init", "--if-missing", "--root", str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return serve(root, folder / "es.log")


def serve(root: Path, log: Path) -> Process:
    """A server over what is there, once it says that it is ready."""
    port = free_port()
    command = [*_COMMAND, "serve", "--root", str(root), "--port", str(port)]
    process = Process(command, port, log)
    deadline = time.monotonic() + READY_S_MAX
    while True:
        connection = Connection(port)
        try:
            connection.get("/readyz")
        except RuntimeError:
            if time.monotonic() > deadline:
                process.stop()
                raise
            time.sleep(0.005)
        else:
            return process
        finally:
            connection.close()
