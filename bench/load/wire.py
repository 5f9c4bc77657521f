"""wire.c, compiled when it is first needed: publishers and readers on plain sockets."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bench.stage import EVENT_BYTES

CLIENT = "wire.c"
SOURCE = Path(__file__).with_suffix(".c")
STAMP = "0" * 19  # wire.c writes the time over it
STREAM, SENDER, READER = "%STREAM%", "%SENDER%", "%READER%"  # eight digits, of the same length


class Words(NamedTuple):
    """What one protocol says on the wire. The `_ends` are what ends the answer to the words."""

    publish: bytes
    answer: str  # "http", or "lines": two of them
    hello: bytes = b""
    hello_ends: str = ""
    subscribe: bytes = b""
    subscribe_ends: str = ""
    again: bool = False  # readers ask for each piece: XREAD


def payload() -> str:
    """JSON with a time stamp; with the envelope of an event of ours, 200 bytes."""
    opening, closing = f'{{"at":{STAMP},"text":"', '"}'
    around = len('{"event_type":"bench","payload":}')
    return opening + "x" * (EVENT_BYTES - around - len(opening) - len(closing)) + closing


def long_payload() -> str:
    """As many bytes without an envelope, for servers that know none."""
    return payload().replace("x", "x" * (EVENT_BYTES - len(payload()) + 1), 1)


def http_post(path: str, body: str, content_type: str = "application/json") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
    return f"{head}Prefer: return=minimal\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def sse(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n".encode()


def missing() -> str | None:
    return None if shutil.which("cc") else "no C compiler (scripts/setup-bench.sh)"


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where the program is, until this process ends."""
    folder = tempfile.TemporaryDirectory(prefix="bench-")
    command = ["cc", "-O2", "-w", "-o", f"{folder.name}/wire", str(SOURCE)]
    subprocess.run(command, check=True, timeout=60)
    return folder


def run(port: int, words: Words, **numbers: float) -> dict[str, Any]:
    """What wire.c found; `numbers` are its options."""
    with tempfile.TemporaryDirectory() as folder:
        command = [f"{_folder().name}/wire", "--port", str(port), "--answer", words.answer]
        for name in ("publish", "hello", "subscribe"):
            file = Path(folder) / name
            file.write_bytes(getattr(words, name))
            command += [f"--{name}", str(file)]
        command += ["--hello-ends", words.hello_ends, "--subscribe-ends", words.subscribe_ends]
        command += ["--again", "yes"] if words.again else []
        command += [word for k, v in numbers.items() for word in (f"--{k}", str(v))]
        done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"wire.c: {done.stderr.decode(errors='replace')[-500:]}")
    found: dict[str, Any] = orjson.loads(done.stdout)
    if found["missing"] > 0:
        raise RuntimeError(f"{found['missing']} deliveries are missing")
    return found


def load(port: int, words: Words, **numbers: float) -> Callable[[], dict[str, Any]]:
    return functools.partial(run, port, words, **numbers)
