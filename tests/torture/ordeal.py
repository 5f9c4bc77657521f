"""One torture run: a server, a workload, faults one after another, and the judgement at the end."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from eventspine.client.replay.recording import Recording
from eventspine.client.replay.verify import WAYS, Verifier
from tests.torture.history import Row
from tests.torture.readers import read_pages, row_of
from tests.torture.report import Report
from tests.torture.server import Server
from tests.torture.workload import LOBBY, Workload

SAMPLED = 3
CLEAN, MENDED = 0, 1


class Ordeal:
    """What the faults of a test work on."""

    def __init__(self, folder: Path, seed: int, report: Report, disk: Path | None) -> None:
        self.rng = random.Random(f"faults {seed}")
        self.server = Server(folder, disk)
        self.work = Workload(self.server.url, seed)
        self.report = report
        report.data = self.work.library.name

    async def restart(self) -> None:
        """Start, wait until it is ready, and see that what was promised is there."""
        self.server.start()
        self.report.ready_s.append(await self.server.wait_ready())
        await self.check_sample()

    async def check_sample(self) -> None:
        active = self.work.active
        for stream_id in self.rng.sample(active, min(SAMPLED, len(active))):
            await read_pages(self.work.client, stream_id, self.work.history, "sampled pages")
        self.judge()

    def judge(self) -> None:
        verdict = self.work.history.verdict()
        assert not verdict, f"seed {self.report.seed}:\n{verdict}"

    async def progress(self, events: int) -> None:
        """Until so many more events are acknowledged: faults shall hit a server at work."""
        goal = self.answers + events
        with anyio.fail_after(60):
            while self.answers < goal:
                self.server.check_alive()
                await anyio.sleep(0.005)

    @property
    def answers(self) -> int:
        return sum(stream.mark().acknowledged for stream in self.work.history.streams.values())


@asynccontextmanager
async def ordeal(folder: Path, report: Report, disk: Path | None = None) -> AsyncIterator[Ordeal]:
    """Faults happen inside the block, while the workload runs; the judgement is at its end.

    `disk`: where the root is, if not below `folder`.
    """
    it = Ordeal(folder, report.seed, report, disk)
    try:
        it.server.init()
        it.server.start()
        it.report.ready_s.append(await it.server.wait_ready())
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(it.work.run)
            try:
                await it.progress(1)
                yield it
            except Exception as error:  # outside the group, which would wrap it
                failure = error
                group.cancel_scope.cancel()
            it.work.stopping = True
        if failure is not None:
            raise failure
        await _judge_everything(it)
        it.report.finished = True
    finally:
        it.server.cleanup()
        await it.work.aclose()
        it.report.violations = len(it.work.history.violations)
        it.report.write()


async def _judge_everything(it: Ordeal) -> None:
    await it.server.kill()
    it.report.fault("SIGKILL at rest")
    assert it.server.run("doctor", "--root", str(it.server.root)).returncode in (CLEAN, MENDED)
    await it.restart()
    await _verify_streams(it)
    it.judge()
    it.report.stop_s.append(await it.server.stop(within_s=15))
    done = it.server.run("doctor", "--root", str(it.server.root))
    assert done.returncode == CLEAN, f"seed {it.report.seed}: {done.stdout!r} {done.stderr!r}"
    files = read_files(it.server.root, it.work)
    it.judge()
    assert files == len(it.work.history.streams)
    it.report.figures |= _figures(it)


async def _verify_streams(it: Ordeal) -> None:
    """Every stream by pages and over SSE: the recording, and a canvas its end."""
    waiting: list[Recording] = list(it.work.done)
    verifier = Verifier(it.work.client)

    async def work() -> None:
        while waiting:
            recording = waiting.pop()
            await read_pages(it.work.client, recording.stream_id, it.work.history, "pages")
            for way in WAYS:
                verdict = await verifier.verify_recording(recording, way)
                assert verdict.difference is None, f"seed {it.report.seed}: {verdict}"

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(work)
    await read_pages(it.work.client, LOBBY, it.work.history, "pages")
    for stream_id, stream in it.work.history.streams.items():
        assert stream.read_last > 0, stream_id


def read_files(root: Path, work: Workload) -> int:
    """Judge the files of a stopped server with nothing but `json`; how many there are."""
    count = 0
    for path in root.glob("event_stream/*/*/_/*/events.jsonl"):  # not of the surface audit
        rows: list[Row] = []
        stream_id = ""
        data = path.read_bytes()
        assert data.endswith(b"\n"), path
        for line in data.split(b"\n")[:-1]:
            plain = json.loads(line)
            stream_id = plain["stream_id"]
            rows.append(row_of(line))
            assert plain["sequence"] == rows[-1].sequence
        stream = work.history[stream_id]
        stream.read_all(rows, stream.mark(), "file")
        count += 1
    return count


def _figures(it: Ordeal) -> dict[str, int]:
    work = it.work
    return {
        "streams": len(work.history.streams),
        "events acknowledged": work.history.acknowledged,
        "events stored": sum(stream.read_last for stream in work.history.streams.values()),
        "requests tried again": work.client.statistics().retries,
        "pieces sent again on purpose": work.resent,
        "their events answered as duplicates": work.duplicates,
        "canvases equal to their end": sum(r.kind == "canvas" for r in work.done),
        "SSE readers": len(work.readers) + work.client_readers,
        "SSE connections of our own readers": sum(r.connections for r in work.readers),
        "server starts": it.server.starts,
    }
