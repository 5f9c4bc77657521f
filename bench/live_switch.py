"""python -m bench.live_switch [--writers 200] [--readers 200] [--rounds 5]

A server that is written and read while its route moves to other files and comes back. Prints how
long appends took before and during it, and the pauses that the switch says it made. The test
tests/switching/test_live.py runs the same load, and counts what readers were told.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.process import Process, free_port

STREAMS = ("one", "two", "three", "four")
ADDRESS = "/v1/routes/event_stream/t_demo/dev/default/lab/switch"
TARGET = {"backend_type": "filesystem", "config": {"root": "there"}}
_ID = re.compile(rb'"event_id":"(w[0-9]+\.[0-9]+)"')
_LENGTH = re.compile(rb"content-length: ([0-9]+)")


class Progress:
    """Wakes who waits for something to have moved."""

    def __init__(self) -> None:
        self._moved = asyncio.Event()

    def move(self) -> None:
        self._moved.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._moved.clear()
            await self._moved.wait()


class Writer:
    """One connection: an append, its answer, the next. Notes what was acknowledged."""

    def __init__(self, port: int, number: int, progress: Progress) -> None:
        self.stream = STREAMS[number % len(STREAMS)]
        self.prefix = b"w%d." % number
        self.acknowledged: list[bytes] = []
        self.longest_s = 0.0
        self.stop = False
        self._port, self._progress = port, progress

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for n in itertools.count():
                if self.stop:
                    return
                await self._append(reader, writer, self.prefix + b"%d" % n)
        finally:
            writer.close()

    async def _append(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, event_id: bytes
    ) -> None:
        body = b'{"event_type":"t","event_id":"%b","payload":{}}' % event_id
        head = (
            f"POST /v1/streams/{self.stream}/events HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/json\r\nPrefer: return=minimal\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(answer)
        if not answer.startswith(b"HTTP/1.1 201") or length is None:
            raise AssertionError(answer)
        await reader.readexactly(int(length[1]))
        self.longest_s = max(self.longest_s, time.perf_counter() - began)
        self.acknowledged.append(event_id)
        self._progress.move()


class Reader:
    """One EventSource, from the beginning of its stream on."""

    def __init__(self, port: int, number: int, progress: Progress) -> None:
        self.stream = STREAMS[number % len(STREAMS)]
        self.told: list[bytes] = []
        self.ended = False
        self._port, self._progress = port, progress

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            head = f"GET /v1/streams/{self.stream}/sse HTTP/1.1\r\nHost: localhost\r\n\r\n"
            writer.write(head.encode())
            await reader.readuntil(b"\r\n\r\n")
            left = b""
            while piece := await reader.read(65536):
                whole, _, left = (left + piece).rpartition(b"\n")
                self.told += _ID.findall(whole)
                self._progress.move()
            self.ended = True
        finally:
            writer.close()


@dataclass
class Live:
    """What became of one run; times in seconds."""

    writers: list[Writer]
    readers: list[Reader]
    longest_before_s: float = 0.0
    longest_s: float = 0.0
    pauses_ms: list[float] = field(default_factory=list)


async def asked(port: int, step: str = "", body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The switch, after one of its steps."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    content = json.dumps(body).encode() if body is not None else b""
    method = "GET" if step == "look" else "POST"
    path = ADDRESS if step in ("", "look") else f"{ADDRESS}/{step}"
    writer.write(
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        + content
    )
    head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    if not head.startswith(b"HTTP/1.1 20"):
        raise AssertionError(answer)
    found: dict[str, Any] = json.loads(answer)
    return found


async def run_live(port: int, writers: int, readers: int, rounds: int = 1) -> Live:
    """There and back under load; every reader has everything at the end, or this never ends."""
    progress = Progress()
    live = Live(
        [Writer(port, n, progress) for n in range(writers)],
        [Reader(port, n, progress) for n in range(readers)],
    )
    async with asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(reader.run()) for reader in live.readers]
        writing = [tasks.create_task(writer.run()) for writer in live.writers]
        await _answered(live.writers, 5, progress)
        live.longest_before_s = _longest(live.writers)
        await asked(port, "", TARGET)
        await asked(port, "run")
        for _ in range(rounds):
            while (await asked(port, "look"))["state"] == "copying":  # noqa: ASYNC110 - of a server
                await asyncio.sleep(0.01)
            await asked(port, "verify")
            for step in ("switch", "reverse"):
                await _answered(live.writers, 2, progress)
                live.pauses_ms.append((await asked(port, step))["pause_ms"])
                await _answered(live.writers, 2, progress)
        live.longest_s = _longest(live.writers)
        for writer in live.writers:
            writer.stop = True
        await asyncio.gather(*writing)
        wanted = {name: _acknowledged(live.writers, name) for name in STREAMS}
        await progress.until(lambda: all(len(r.told) >= wanted[r.stream] for r in live.readers))
        for task in reading:
            task.cancel()
    return live


async def _answered(writers: Sequence[Writer], more: int, progress: Progress) -> None:
    """Until each was answered so many more times."""
    wanted = [len(writer.acknowledged) + more for writer in writers]
    await progress.until(
        lambda: all(len(w.acknowledged) >= n for w, n in zip(writers, wanted, strict=True))
    )


def _longest(writers: Sequence[Writer]) -> float:
    """The longest append since this was asked last."""
    longest = max(writer.longest_s for writer in writers)
    for writer in writers:
        writer.longest_s = 0.0
    return longest


def _acknowledged(writers: Sequence[Writer], stream: str) -> int:
    return sum(len(writer.acknowledged) for writer in writers if writer.stream == stream)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.live_switch", description=__doc__)
    parser.add_argument("--writers", type=int, default=200)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        root, port = Path(folder) / "root", free_port()
        init = [sys.executable, "-m", "eventspine.cli", "init", "--root", str(root)]
        subprocess.run(init, check=True, capture_output=True)
        serve = ["-m", "eventspine.cli", "serve", "--root", str(root), "--port", str(port)]
        server = Process([sys.executable, *serve], port, Path(folder) / "log")
        try:
            live = asyncio.run(run_live(port, args.writers, args.readers, args.rounds))
        finally:
            server.stop()
    count = sum(len(writer.acknowledged) for writer in live.writers)
    print(f"{count} appends of {args.writers} writers, told to {args.readers} readers")
    print(f"longest append before: {1000 * live.longest_before_s:.0f} ms")
    print(f"longest append with switches: {1000 * live.longest_s:.0f} ms")
    print(f"pauses: {', '.join(f'{pause:.1f}' for pause in live.pauses_ms)} ms")


if __name__ == "__main__":
    main()
