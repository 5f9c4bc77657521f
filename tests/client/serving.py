"""`eventspine serve` as a process: started, killed, started again on the same port."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

COMMAND = [sys.executable, "-m", "eventspine.cli"]


class ServerProcess:
    """A server on a root of its own. `port` stays the same over restarts."""

    def __init__(self, root: Path, *, settings: str = "") -> None:
        self.root = root
        self.port = 0
        self.greeting = ""
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        init = [*COMMAND, "init", "--root", str(self.root), "--if-missing"]
        subprocess.run(init, check=True, capture_output=True)
        if self._settings:
            (self.root / "settings.toml").write_text(self._settings)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        serve = [*COMMAND, "serve", "--root", str(self.root), "--port", str(self.port)]
        self._process = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.greeting = self._process.stdout.readline()
        assert " on http://" in self.greeting, f"the server did not start: {self.greeting!r}"
        self.port = int(self.greeting.split(" on ")[1].split()[0].rpartition(":")[2])

    def stop(self) -> int:
        """Ask it to stop; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: no drain, no flush, no goodbye."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        process.send_signal(number)
        code = process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
        self._process = None
        return code
