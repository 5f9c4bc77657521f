"""What benchmarks share: a folder, the options, the servers that run, and what a figure is."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import orjson

from bench.process import Process

EVENT_BYTES = 200
REPOSITORY = Path(__file__).parents[1]


def event_of(size: int = EVENT_BYTES) -> bytes:
    """An event of so many bytes as it is sent."""
    opening, closing = b'{"event_type":"bench","payload":{"text":"', b'"}}'
    return opening + b"x" * (size - len(opening) - len(closing)) + closing


@dataclass(frozen=True, slots=True)
class Options:
    rounds: int = 5
    quick: bool = False

    @property
    def seconds(self) -> float:
        """How long one measurement lasts."""
        return 0.4 if self.quick else 3.0


class Figure(NamedTuple):
    """One measurement. `per_s` counts what the title names; CPU is of one core."""

    per_s: float
    p50_ms: float
    p99_ms: float
    client_cpu: float = 0.0  # share of one core
    server_us: float = 0.0  # processor time of the server for one of what is counted


class Contender(NamedTuple):
    name: str
    measure: Callable[[], Figure]


class Benchmark(Protocol):
    """A module of bench/: what it measures, and who takes part. The first contender is us."""

    TITLE: str
    UNIT: str

    def contenders(self, stage: Stage) -> list[Contender]: ...


@dataclass(slots=True)
class Stage:
    """Servers are started when first asked for and run, idle, while others are measured."""

    folder: Path
    options: Options
    skipped: dict[str, str] = field(default_factory=dict)
    _running: dict[str, Process] = field(default_factory=dict)

    def peer(self, module: ModuleType, name: str = "") -> Process | None:
        """The server of a peer; None, with a word in `skipped`, where it is not installed."""
        name = name or module.NAME
        if name not in self._running:
            missing = module.missing()
            if missing:
                self.skipped[module.NAME] = missing
                return None
            folder = self.folder / name.replace(" ", "-").replace(",", "")
            folder.mkdir()
            self._running[name] = module.start(folder)
        return self._running[name]

    def stop(self) -> None:
        while self._running:
            self._running.popitem()[1].stop()


def under_load(server: Process | None, load: Callable[[], dict[str, Any]]) -> Figure:
    """The figure of a load that runs in processes of its own."""
    server_s = server.cpu_s() if server else 0.0
    client_s, began = _children_s(), time.perf_counter()
    found = load()
    took = found.get("seconds") or time.perf_counter() - began
    client_s = _children_s() - client_s
    server_s = (server.cpu_s() if server else 0.0) - server_s
    done = found.get("count") or found["per_s"] * took
    return Figure(
        found["per_s"],
        found["p50_ms"],
        found["p99_ms"],
        found.get("client_cpu") or client_s / took,
        found.get("server_us") or server_s / max(done, 1) * 1e6,
    )


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_load(module: str, **options: object) -> dict[str, Any]:
    """What `python -m bench.load.<module> --name value …` prints: one JSON object."""
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", f"bench.load.{module}", *words],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
        timeout=600,
    )
    if done.returncode != 0:
        raise RuntimeError(f"bench.load.{module}: {done.stderr.decode()[-2000:]}")
    found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return found
