"""NATS JetStream on files, from Debian. An acknowledgement comes before the fsync.

`sync_interval: always` (fsync before every acknowledgement) came with nats-server 2.10; where the
server knows it, it takes part as a peer of its own.

The 1,000 streams are 1,000 subjects of one JetStream stream, which is how JetStream is meant to be
used; a stream each would be files of its own each.
"""

from __future__ import annotations

import functools
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import orjson

from bench.load.wire import READER, SENDER, STREAM, Words, long_payload
from bench.process import Process, free_port

STREAM_NAME = "bench"
CONFIGURATION = """\
listen: 127.0.0.1:{port}
ping_interval: "1h"
write_deadline: "60s"
jetstream {{ store_dir: "{folder}/jetstream"{more} }}
"""
_CONNECT = b'CONNECT {"verbose":false,"pedantic":false}\r\n'


class Nats:
    def __init__(self, name: str, more: str = "") -> None:
        self.NAME = name
        self._more = more

    def missing(self) -> str | None:
        if shutil.which("nats-server") is None:
            return "nats-server is not installed (scripts/setup-bench.sh)"
        if self._more and not _accepts(self._more):
            return f"this nats-server has no {self._more.partition(':')[0].strip(', ')}"
        return None

    def start(self, folder: Path) -> Process:
        port = free_port()
        configuration = folder / "nats.conf"
        text = CONFIGURATION.format(port=port, folder=folder, more=self._more)
        configuration.write_text(text)
        return Process(["nats-server", "-c", str(configuration)], port, folder / "nats.log")


@functools.cache
def _accepts(more: str) -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(CONFIGURATION.format(port=1, folder="none", more=more))
        file.flush()
        done = subprocess.run(
            ["nats-server", "-t", "-c", file.name], capture_output=True, check=False, timeout=10
        )
    return done.returncode == 0


NATS = Nats("NATS JetStream, ack before fsync")
NATS_SYNC = Nats("NATS JetStream, sync_interval always", ", sync_interval: always")


def make_stream(port: int, name: str, subjects: str) -> None:
    """A JetStream stream on files, unless it is there."""
    wanted = {"name": name, "subjects": [subjects], "storage": "file", "num_replicas": 1}
    answer = _request(port, f"$JS.API.STREAM.CREATE.{name}", wanted)
    if "error" in answer:
        raise RuntimeError(f"{name}: {answer['error']}")


def _request(port: int, subject: str, body: object) -> dict[str, Any]:
    data = orjson.dumps(body)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        words = b"SUB answer 1\r\nPUB %b answer %d\r\n%b\r\n" % (subject.encode(), len(data), data)
        sock.sendall(_CONNECT + words)
        file = sock.makefile("rb")
        for line in file:
            if line.startswith(b"MSG "):
                found: dict[str, Any] = orjson.loads(file.read(int(line.split()[-1])))
                return found
    raise RuntimeError(f"no answer from {subject}")


def _pub(subject: str, reply: str, body: str) -> bytes:
    return f"PUB {subject} {reply} {len(body)}\r\n{body}\r\n".encode()


def appends() -> Words:
    """Publishers to the 1,000 subjects, each with an inbox for its acknowledgements."""
    return Words(
        publish=_pub(f"{STREAM_NAME}.{STREAM}", f"ack.{SENDER}", long_payload()),
        answer="lines",
        hello=_CONNECT + f"SUB ack.{SENDER} 1\r\nPING\r\n".encode(),
        hello_ends="PONG\r\n",
    )


def fan_out(name: str) -> Words:
    """Readers are push consumers, each of its own, without acknowledgements."""
    config = {
        "deliver_policy": "all",
        "ack_policy": "none",
        "deliver_subject": f"to.{READER}",
        "inactive_threshold": 2_000_000_000,
        "mem_storage": True,
    }
    wanted = orjson.dumps({"stream_name": name, "config": config}).decode()
    create = _pub(f"$JS.API.CONSUMER.CREATE.{name}", f"made.{READER}", wanted)
    subscribe = f"SUB to.{READER} 1\r\nSUB made.{READER} 2\r\n".encode()
    return appends()._replace(
        publish=_pub(f"{name}.one", f"ack.{SENDER}", long_payload()),
        subscribe=_CONNECT + subscribe + create,
        subscribe_ends='"created":',
    )
