"""The server as its users start it: a process, a root and a port of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import anyio

from tests.docs.reader import free_port

READY_S_MAX = 60.0
STORAGE = {"log_segment_bytes": 256 * 1024, "sync_files_max": 4}
REPOSITORY = Path(__file__).parents[2]


class ServerBroken(AssertionError):
    """The server did something a server may not do: it ended, or did not come back."""


class Server:
    """One root, served by one process after another on the same port.

    Args:
        folder: for what the server prints, and for the root.
        disk: a folder for the root elsewhere, on a disk that is going to fail.
    """

    def __init__(self, folder: Path, disk: Path | None = None) -> None:
        self.root = (disk or folder) / "root"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.starts = 0
        self.log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def init(self) -> None:
        """A new root, with segments so small that checkpoints happen between two faults."""
        self.run("init", "--root", str(self.root))
        settings = self.root / "settings.toml"
        text = settings.read_text()
        for name, value in STORAGE.items():
            text, found = re.subn(
                rf"^#? *{name} *=.*$", f"{name} = {value}", text, flags=re.MULTILINE
            )
            assert found == 1, f"settings.toml does not name {name}"
        settings.write_text(text)
        _sync(settings)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """A command of ours, to its end."""
        return subprocess.run(
            _command(*arguments), env=_environment(), capture_output=True, timeout=300, check=False
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start without waiting. See wait_ready."""
        assert self._process is None
        arguments = ("serve", "--root", str(self.root), "--port", str(self.port))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                _command(*arguments), env=_environment(), stdout=log, stderr=log
            )
        self.starts += 1

    async def wait_ready(self) -> float:
        """Until it answers that it is ready; the seconds this took."""
        began = anyio.current_time()
        while not await anyio.to_thread.run_sync(self._is_ready):
            self.check_alive()
            if anyio.current_time() - began > READY_S_MAX:
                raise ServerBroken(f"not ready after {READY_S_MAX} s: {self.tail_of_log()}")
            await anyio.sleep(0.01)
        return anyio.current_time() - began

    def check_alive(self) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise ServerBroken(f"ended with {self._process.returncode}: {self.tail_of_log()}")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(json.load(answer)["ready"])
        except (OSError, urllib.error.URLError, ValueError):
            return False

    def figure(self, sample: str) -> float:
        """A sample of its metrics, by name and labels as they stand there.

        Raises:
            LookupError: there is none, as of a store that is not open.
        """
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        for line in lines:
            if line.startswith(f"{sample} "):
                return float(line.split()[-1])
        raise LookupError(sample)

    def signal(self, number: signal.Signals) -> None:
        self.check_alive()
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self.signal(signal.SIGKILL)
        await self.gone(5.0)

    async def stop(self, within_s: float) -> float:
        """SIGTERM; the seconds it took to end."""
        began = anyio.current_time()
        self.signal(signal.SIGTERM)
        status = await self.gone(within_s)
        if status != 0:
            raise ServerBroken(f"a graceful stop ended with {status}: {self.tail_of_log()}")
        return anyio.current_time() - began

    async def gone(self, within_s: float) -> int:
        """Wait for the end of the process; its exit status."""
        process = self._process
        assert process is not None
        try:
            status = await anyio.to_thread.run_sync(process.wait, within_s)
        except subprocess.TimeoutExpired:
            raise ServerBroken(f"still there after {within_s} s: {self.tail_of_log()}") from None
        self._process = None
        return status

    def cleanup(self) -> None:
        """Leave nothing running, whatever happened."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def tail_of_log(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "eventspine.cli", *arguments]


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}
