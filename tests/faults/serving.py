"""A real server on a disk that is going to fail, and a client that keeps account of it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import orjson

from eventspine.client import EventspineClient, RetryPolicy
from tests.torture.history import History, digest_of
from tests.torture.readers import RawReader, read_pages
from tests.torture.report import Report
from tests.torture.server import Server

SETTINGS = {"log_segment_bytes": 65536, "log_segments_max": 2}


class Served:
    """What a fault works on: appends are sent one by one, and every answer is kept."""

    def __init__(self, folder: Path, report: Report, disk: Path | None) -> None:
        self.server = Server(folder, disk)
        self.history = History()
        self.report = report
        self.client = EventspineClient(self.server.url, retry=RetryPolicy(patience_s=20.0))
        self.http = httpx.AsyncClient(
            base_url=self.server.url, timeout=httpx.Timeout(35.0, pool=None), trust_env=False
        )
        self._numbers: dict[str, int] = {}

    def event(self, stream_id: str, size: int) -> dict[str, Any]:
        """A new event of a stream, told to the history before it is sent."""
        number = self._numbers[stream_id] = self._numbers.get(stream_id, 0) + 1
        payload = {"n": number, "text": "x" * size}
        event = {"event_id": f"{stream_id}-{number}", "event_type": "said", "payload": payload}
        digest = digest_of("said", orjson.dumps(payload))
        self.history[stream_id].will_send("client", [(str(event["event_id"]), digest)])
        return event

    async def send(self, stream_id: str, event: dict[str, Any]) -> httpx.Response:
        """One attempt. An acknowledgement goes into the history."""
        answer = await self.http.post(f"/v1/streams/{stream_id}/events", json=event)
        if answer.status_code in (200, 201):
            said = answer.json()["events"][0]
            self.history[stream_id].acknowledge(said["event_id"], said["sequence"])
        return answer

    async def send_until_stored(self, stream_id: str, event: dict[str, Any], s_max: float) -> float:
        """The same event again and again; the seconds until it was acknowledged."""
        began = anyio.current_time()
        while True:
            answer = await self.send(stream_id, event)
            if answer.status_code in (200, 201):
                return anyio.current_time() - began
            assert answer.status_code in (503, 507), answer.text
            assert anyio.current_time() - began < s_max, (
                f"not stored after {s_max} s: {answer.text}"
            )
            await anyio.sleep(0.02)

    async def read(self, stream_id: str, who: str) -> int:
        """All of a stream by pages, judged."""
        count = await read_pages(self.client, stream_id, self.history, who)
        self.judge()
        return count

    def follow(self, stream_id: str) -> RawReader:
        return RawReader(self.server.url, stream_id, self.history, f"sse {stream_id}")

    def judge(self) -> None:
        verdict = self.history.verdict()
        assert not verdict, f"seed {self.report.seed}:\n{verdict}"


@asynccontextmanager
async def served(folder: Path, report: Report, disk: Path | None = None) -> AsyncIterator[Served]:
    """A server with small log segments; at the end killed, started, read, stopped, and examined."""
    it = Served(folder, report, disk)
    try:
        it.server.init()
        _change_settings(it.server.root / "settings.toml")
        it.server.start()
        await it.server.wait_ready()
        yield it
        assert it.server.starts == 1, "it had to be started again"
        await it.server.kill()
        it.server.start()
        report.ready_s.append(await it.server.wait_ready())
        for stream_id in it.history.streams:
            await it.read(stream_id, "pages after a kill")
        report.stop_s.append(await it.server.stop(within_s=15))
        done = it.server.run("doctor", "--root", str(it.server.root))
        assert done.returncode == 0, f"seed {report.seed}: {done.stdout!r} {done.stderr!r}"
    finally:
        it.server.cleanup()
        with contextlib.suppress(Exception):
            await it.client.aclose()
        await it.http.aclose()
        report.violations += len(it.history.violations)
        known = report.figures.get("events acknowledged", 0)
        report.figures["events acknowledged"] = known + it.history.acknowledged
        report.write()


def _change_settings(path: Path) -> None:
    text = path.read_text()
    for name, value in SETTINGS.items():
        text, count = re.subn(rf"(?m)^#? *{name} = \d+", f"{name} = {value}", text)
        assert count == 1, name
    path.write_text(text)
