"""Cases on two processes at once, in the order of whoever is free."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue

from tests.faults.case import Fault, Outcome

PROCESSES = 2
REPOSITORY = Path(__file__).parents[2]


def run_all(
    folder: Path, faults: Sequence[Fault], *, shim: Path | None = None, kind: str | None = None
) -> list[Outcome]:
    """The outcome of every fault, in their order.

    Args:
        shim: the library of short_writes.c, for faults that need it.
        kind: the file system whose power is cut, for faults that need one.
    """
    waiting: SimpleQueue[int] = SimpleQueue()
    for n in range(len(faults)):
        waiting.put(n)
    outcomes: dict[int, Outcome] = {}

    def work(number: int) -> None:
        with _worker(folder / f"worker-{number}", shim, kind) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            while not waiting.empty():
                n = waiting.get()
                process.stdin.write(json.dumps(asdict(faults[n])) + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
                outcomes[n] = Outcome(**json.loads(answer)) if answer else Outcome("worker died")
            process.stdin.close()
            process.wait(60)

    with ThreadPoolExecutor(PROCESSES) as threads:
        for _ in threads.map(work, range(PROCESSES)):
            pass
    return [outcomes[n] for n in range(len(faults))]


def _worker(folder: Path, shim: Path | None, kind: str | None) -> subprocess.Popen[str]:
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.faults.worker", str(folder), *([kind] if kind else [])]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    if shim is not None:
        environment["LD_PRELOAD"] = str(shim)
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
