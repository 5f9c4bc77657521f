"""The Durable Streams reference server with its file store, from npm (`durable-streams/`).

Streams are made before they are appended to. With more than 100 active streams version 0.3.7
answers 404 for streams that exist (the handle is evicted between write and fsync), so appends
go to 64 streams, which is in its favour.
"""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from bench.load.wire import Words, http_post, long_payload, sse
from bench.process import Process, free_port

NAME = "Durable Streams server, files"
PLACE = Path(__file__).with_name("durable-streams")
STREAMS = 64


def missing() -> str | None:
    if shutil.which("node") is None or not (PLACE / "node_modules").is_dir():
        return "@durable-streams/server is not installed (scripts/setup-bench.sh)"
    return None


def start(folder: Path) -> Process:
    port = free_port()
    command = ["node", str(PLACE / "server.mjs"), str(port), str(folder)]
    return Process(command, port, folder / "server.log")


def make_streams(port: int, *names: str) -> None:
    for name in names:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            head = f"PUT /bench/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            sock.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
            status = sock.recv(4096).split(b"\r\n")[0]
            if b" 20" not in status:
                raise RuntimeError(f"{name}: {status!r}")


def fan_out(name: str) -> Words:
    return Words(
        publish=http_post(f"/bench/{name}", long_payload()),
        answer="http",
        subscribe=sse(f"/bench/{name}?offset=-1&live=sse"),
        subscribe_ends="\r\n\r\n",
    )
