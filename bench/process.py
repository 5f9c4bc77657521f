"""A process under measurement: started, ready, its processor time and memory read from /proc."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

READY_S_MAX = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """One server, with all its children counted as one."""

    def __init__(
        self, command: Sequence[str], port: int, log: Path, *, user: str | None = None
    ) -> None:
        """Start it, and wait until it accepts connections.

        Args:
            user: who it runs as; root itself needs none, and PostgreSQL refuses root.
        """
        self.port = port
        self._log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, **as_user(user)
            )
        self._wait_ready()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_S_MAX
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
                continue
            return
        self.stop()
        raise RuntimeError(f"did not start: {self._log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def cpu_s(self) -> float:
        """Processor time used so far, by the process and its children."""
        return sum(_cpu_s(pid) for pid in _family(self._process.pid))

    def rss_bytes(self) -> int:
        return sum(_rss_bytes(pid) for pid in _family(self._process.pid))

    def own_bytes(self) -> int:
        """Resident memory, with what processes share counted once: PostgreSQL's buffers."""
        return sum(_own_bytes(pid) for pid in _family(self._process.pid))

    def descriptors(self) -> int:
        """How many files and sockets are open."""
        return sum(descriptors_of(pid) for pid in _family(self._process.pid))


def as_user(user: str | None) -> dict[str, Any]:
    """Options of subprocess for a process of that user."""
    return {"user": user, "group": user, "extra_groups": ()} if user else {}


def descriptors_of(pid: int | str) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def rss_of(pid: int | str) -> int:
    """Bytes of memory that are resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def _family(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return [pid]
    return [pid, *(grandchild for child in text.split() for grandchild in _family(int(child)))]


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    # utime, stime, and both of the children that have ended: a backend of PostgreSQL does
    return sum(map(int, fields[11:15])) / TICKS


def _rss_bytes(pid: int) -> int:
    try:
        return rss_of(pid)
    except OSError:
        return 0


def _own_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
