"""wrk, posting one body again and again over keep-alive connections."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson

SCRIPT = Path(__file__).with_name("append.lua")


def missing() -> str | None:
    return None if shutil.which("wrk") else "wrk is not installed (scripts/setup-bench.sh)"


def post(
    port: int,
    path: tuple[str, str],
    body: Path,
    *,
    content_type: str = "application/json",
    connections: int,
    seconds: float,
    events: int = 1,
    streams: int = 1000,
) -> dict[str, Any]:
    """Events/s (`events` in each body) and latencies. wrk knows whole seconds only."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}", "--timeout", "10"]
    command += ["--latency", "-s", str(SCRIPT), f"http://127.0.0.1:{port}/", "--"]
    command += [*path, str(streams), str(body), content_type]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    if found["errors"]:
        raise RuntimeError(f"{found['errors']} requests failed: {done.stdout}")
    found["count"] *= events
    return {**found, "per_s": found["count"] / found["seconds"]}
