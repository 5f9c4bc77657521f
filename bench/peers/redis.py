"""Redis Streams, every answer after its fsync (`appendfsync always`), from Debian.

Appends are loaded with Redis' own redis-benchmark, one thread, every client in a closed loop. It
cannot walk through streams as our producers do: it picks one of 1,000 at random for each request.
Live readers (`fan_out`) and pages (`Connection`) are not something it does.
"""

from __future__ import annotations

import csv
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.load.wire import Words, long_payload
from bench.process import Process, free_port
from bench.stage import EVENT_BYTES

NAME = "Redis Streams, appendfsync always"
CLIENT = "redis-benchmark"


def missing() -> str | None:
    for command in ("redis-server", "redis-benchmark"):
        if shutil.which(command) is None:
            return f"{command} is not installed (scripts/setup-bench.sh)"
    return None


def start(folder: Path) -> Process:
    port = free_port()
    data = folder / "redis"
    data.mkdir(exist_ok=True)  # or there from before: it is started again
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "auto-aof-rewrite-percentage": "0",
    }
    command = ["redis-server", *(word for k, v in options.items() for word in (f"--{k}", v))]
    return Process(command, port, folder / "redis.log")


def appends(port: int, *, clients: int, requests: int, pipeline: int = 1) -> dict[str, float]:
    """What redis-benchmark measures of XADD: requests/s, p50 and p99 in milliseconds."""
    command = ["XADD", "s:__rand_int__", "*", "e", "x" * EVENT_BYTES]
    done = subprocess.run(
        [
            *("redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", str(clients)),
            *("-n", str(requests), "-P", str(pipeline), "-r", "1000", "--csv", *command),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    row = list(csv.DictReader(done.stdout.splitlines()))[-1]
    return {
        "per_s": float(row["rps"]),
        "p50_ms": float(row["p50_latency_ms"]),
        "p99_ms": float(row["p99_latency_ms"]),
    }


def fan_out(name: str) -> Words:
    """Readers in XREAD BLOCK, each asking again after its last id."""
    key, add = name.encode(), [b"XADD", name.encode(), b"*", b"e", long_payload().encode()]
    read = [b"XREAD", b"COUNT", b"100", b"BLOCK", b"0", b"STREAMS", key, b"0"]
    return Words(encoded(add), "lines", subscribe=encoded(read), again=True)


class Connection:
    """Commands in RESP over one blocking socket, and their replies as bytes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", buffering=1 << 20)

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def send(self, *commands: Sequence[bytes]) -> None:
        self._socket.sendall(b"".join(encoded(command) for command in commands))

    def read(self) -> Any:
        """One reply; errors raise."""
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        if kind == b"$":
            return self._file.read(int(rest) + 2)[:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        return rest

    def wait_loaded(self) -> None:
        """Return when the server has read its log; it answers from the first moment on."""
        while True:
            self.send([b"PING"])
            try:
                self.read()
            except RuntimeError as error:
                if not str(error).startswith("LOADING"):
                    raise
                time.sleep(0.005)
            else:
                return

    def exactly(self, size: int) -> None:
        """Take in a reply whose size is known: reading without the cost of understanding it."""
        self._file.read(size)


def encoded(command: Sequence[bytes]) -> bytes:
    return b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in command)
