"""strace on a running server: one of its calls fails, for as long as the block runs."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio


class Injection:
    """`times` says how often the call has failed by now: once in each thread that made it."""

    def __init__(self, trace: Path, tracer: subprocess.Popen[bytes]) -> None:
        self._trace = trace
        self._tracer = tracer

    @property
    def times(self) -> int:
        return self._trace.read_text().count("(INJECTED)")

    @property
    def happened(self) -> bool:
        return self.times > 0

    async def let_go_once_happened(self) -> None:
        """A thread that comes later would have its own first call, and its own error."""
        while not self.happened:  # noqa: ASYNC110
            await anyio.sleep(0.005)
        self._tracer.terminate()


@contextmanager
def injected(
    pid: int, call: str, what: str, trace: Path, only: Path | None = None
) -> Iterator[Injection]:
    """`what` as strace's inject has it, as in `error=EIO:when=1`; the count is each thread's own.

    Args:
        only: a file; calls for others are left alone.
    """
    trace.write_text("")
    command = ["strace", "-f", "-y", "-qq", "-o", str(trace), "-p", str(pid)]
    command += ["-e", f"trace={call}", "-e", f"inject={call}:{what}"]
    command += ["-P", str(only)] if only is not None else []
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        _wait_attached(pid, tracer)
        yield Injection(trace, tracer)
    finally:
        tracer.terminate()  # which lets go of the server
        tracer.wait(10)
        assert tracer.stderr is not None
        tracer.stderr.close()


def _wait_attached(pid: int, tracer: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while any("TracerPid:\t0" in status for status in _statuses(pid)):
        assert tracer.poll() is None, "strace ended"
        assert time.monotonic() < deadline, "strace did not attach"
        time.sleep(0.002)


def _statuses(pid: int) -> list[str]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [(task / "status").read_text() for task in tasks]
