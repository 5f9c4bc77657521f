"""What benchmarks share: a folder, the options, the servers that run, and what a figure is."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import orjson

from bench.process import Process

EVENT_BYTES = 200
REPOSITORY = Path(__file__).parents[1]
LOAD_S_MAX = 3600  # a million vectors and their index, on a busy machine
STDERR = 2
PROGRESS = "BENCH_PROGRESS"  # the descriptor of the terminal


def event_of(size: int = EVENT_BYTES) -> bytes:
    """An event of so many bytes as it is sent."""
    opening, closing = b'{"event_type":"bench","payload":{"text":"', b'"}}'
    return opening + b"x" * (size - len(opening) - len(closing)) + closing


@dataclass(frozen=True, slots=True)
class Options:
    rounds: int = 3
    quick: bool = False
    tiny: bool = False  # that it runs at all; its figures say nothing


class Column(NamedTuple):
    """One number of a measurement: its name in JSON, its heading, how it is written."""

    name: str
    heading: str
    form: str = ",.0f"


class Figure(NamedTuple):
    """A rate. `per_s` counts what the title names; CPU is of one core."""

    per_s: float
    p50_ms: float
    p99_ms: float
    client_cpu: float = 0.0  # share of one core
    server_us: float = 0.0  # processor time of the server for one of what is counted


def rate(unit: str) -> tuple[Column, ...]:
    """The columns of a Figure."""
    return (
        Column("per_s", unit),
        Column("p50_ms", "p50 ms", ",.2f"),
        Column("p99_ms", "p99 ms", ",.2f"),
        Column("client_cpu", "client CPU", ".0%"),
        Column("server_us", "server µs each", ",.1f"),
    )


class Contender(NamedTuple):
    """A row to be: measured once a round; the numbers stand in the order of the columns."""

    name: str
    measure: Callable[[], tuple[float, ...]]
    client: str = ""  # what makes the load


class Missing(NamedTuple):
    """A row of somebody who cannot take part."""

    name: str
    why: str


Row = Contender | Missing


class Peer(Protocol):
    """A module of bench/peers/."""

    NAME: str

    def missing(self) -> str | None: ...

    def start(self, folder: Path) -> Process: ...


@dataclass(slots=True)
class Stage:
    """Servers are started when first asked for and run, idle, while others are measured."""

    folder: Path
    options: Options
    warming: bool = False  # what is measured is thrown away
    _running: dict[str, Process] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long one measurement lasts."""
        if self.options.tiny:
            return 0.2
        return 1.0 if self.options.quick or self.warming else 3.0

    def server(self, peer: Peer) -> Process:
        if peer.NAME not in self._running:
            self._running[peer.NAME] = peer.start(self.place(peer.NAME))
        return self._running[peer.NAME]

    def place(self, name: str) -> Path:
        """A new folder."""
        word = "".join(c for c in name if c.isalnum() or c == "-")
        folder = self.folder / f"{len(list(self.folder.iterdir()))}-{word}"
        folder.mkdir()
        return folder

    def row(
        self,
        peer: Peer,
        measure: Callable[[Process], tuple[float, ...]],
        *,
        name: str = "",
        client: str = "",
        needs: Sequence[str | None] = (),
    ) -> Row:
        """A contender with a server, or the word that it, or what loads it, is not installed."""
        missing = next(filter(None, [peer.missing(), *needs]), None)
        if missing:
            return Missing(name or peer.NAME, missing)
        return Contender(name or peer.NAME, lambda: measure(self.server(peer)), client)

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
    served = found.get("served") or found.get("count") or found["per_s"] * took
    return Figure(
        found["per_s"],
        found["p50_ms"],
        found["p99_ms"],
        found.get("client_cpu") or client_s / took,
        found.get("server_us") or server_s / max(served, 1) * 1e6,
    )


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_load(module: str, **options: object) -> dict[str, Any]:
    """What `python -m bench.load.<module> --name value …` prints: one JSON object."""
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    terminal = os.dup(STDERR)  # for its progress; what it writes to its own may be an error
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"bench.load.{module}", *words],
            cwd=REPOSITORY,
            env={**os.environ, PROGRESS: str(terminal)},
            pass_fds=[terminal],
            capture_output=True,
            check=False,
            timeout=LOAD_S_MAX,
        )
    finally:
        os.close(terminal)
    if done.returncode != 0:
        raise RuntimeError(f"bench.load.{module}: {done.stderr.decode()[-2000:]}")
    found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return found


def progress(line: str) -> None:
    """Say how far a load is, to whoever watches the benchmarks."""
    os.write(int(os.environ.get(PROGRESS, STDERR)), f"{line}\n".encode())
