"""Redis Streams, every answer after its fsync (`appendfsync always`), from Debian.

Appends, and keys (`keyed`), are loaded with Redis' own redis-benchmark, one thread, every client in
a closed loop. It cannot walk through streams as our producers do: it picks one of 1,000 at random
for each request.
Live readers (`fan_out`) and pages (`Connection`) are not something it does.
"""

from __future__ import annotations

import csv
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.load.wire import Words, long_payload
from bench.process import Process, free_port
from bench.stage import EVENT_BYTES, Row, Stage

NAME = "Redis Streams, appendfsync always"
CLIENT = "redis-benchmark"
FILL_AT_ONCE = 1_000


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
    return commands(port, command, clients=clients, requests=requests, pipeline=pipeline)


def commands(
    port: int,
    command: Sequence[str],
    *,
    clients: int,
    requests: int,
    pipeline: int = 1,
    keys: int = 1000,
) -> dict[str, float]:
    """The same of any command; __rand_int__ in it is one of so many numbers of twelve digits."""
    done = subprocess.run(
        [
            *("redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", str(clients)),
            *("-n", str(requests), "-P", str(pipeline), "-r", str(keys), "--csv", *command),
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


def keyed(
    stage: Stage, name: str, prefix: str, size: int, value: bytes, *, more: Sequence[str] = ()
) -> Row:
    """SET and GET of one of `size` keys by 64 clients; and what memory grew by to hold them."""
    grown: list[float] = []

    def measure(server: Process) -> tuple[float, ...]:
        if not grown:
            grown.append(_fill(server, f"{prefix}{size}", size, value, more))
        key, found = f"{prefix}{size}:__rand_int__", []
        for words, each in ((["SET", key, value.decode(), *more], 25_000), (["GET", key], 60_000)):
            requests = max(1_000, int(each * stage.seconds))
            found.append(commands(server.port, words, clients=64, requests=requests, keys=size))
        speeds = [one[column] for one in found for column in ("per_s", "p50_ms", "p99_ms")]
        return (*speeds, grown[0])

    return stage.row(sys.modules[__name__], measure, name=name, client=CLIENT)


def _fill(server: Process, prefix: str, size: int, value: bytes, more: Sequence[str]) -> float:
    before, connection = server.rss_bytes(), Connection(server.port)
    words = [word.encode() for word in more]
    for start in range(0, size, FILL_AT_ONCE):
        numbers = range(start, min(start + FILL_AT_ONCE, size))
        keys = [b"%b:%012d" % (prefix.encode(), n) for n in numbers]
        connection.send(*([b"SET", key, value, *words] for key in keys))
        for _ in numbers:
            connection.read()
    connection.close()
    return (server.rss_bytes() - before) / 1e6


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
