"""A disk that is full again and again: 507, reads go on, and appends resume by themselves.

The root is on a tmpfs that is filled by appends until they are refused, then given a little more
room, by turns. One server process lives through all of it.
"""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.faults.serving import Served, served
from tests.faults.volume import missing_for, resize, small_disk
from tests.torture.readers import RawReader
from tests.torture.test_sigkill import ROUNDS, SEED, report_of

FIRST_KB = 1024
MORE_KB = 256
RESUMES_S_MAX = 5.0

pytestmark = [pytest.mark.torture, pytest.mark.root, pytest.mark.timeout(240 + 20 * ROUNDS)]


def test_a_full_disk_refuses_appends_serves_reads_and_resumes(tmp_path: Path) -> None:
    missing = missing_for("tmpfs")
    if missing:
        pytest.skip(missing)
    report = report_of("disk-full")
    resumed_s: list[float] = []

    async def main() -> None:
        async with served(tmp_path, report, disk) as it, anyio.create_task_group() as readers:
            await it.send_until_stored("early", it.event("early", 10), 5)
            reader = it.follow("early")
            readers.start_soon(reader.follow, it.http)
            room = FIRST_KB
            for number in range(ROUNDS):
                stream_id = f"s{number % 3}"
                refused = await _fill(it, stream_id)
                report.fault("disk full")
                assert await it.read("early", "pages while full") == 1 + number
                await it.read(stream_id, "pages while full")
                await _sse_works(it, stream_id)
                room += MORE_KB
                await anyio.to_thread.run_sync(resize, disk, room)
                resumed_s.append(await it.send_until_stored(stream_id, refused, RESUMES_S_MAX))
                await it.send_until_stored("early", it.event("early", 10), RESUMES_S_MAX)
                await _has_seen(it, reader, "early")
            assert reader.connections == 1, "the reader was sent away"
            readers.cancel_scope.cancel()

    with small_disk(tmp_path / "disk", FIRST_KB) as disk:
        anyio.run(main)
    report.figures["seconds until appends resumed, at most"] = round(max(resumed_s), 2)
    report.done()
    print(report.as_markdown())
    assert max(resumed_s) <= RESUMES_S_MAX, f"seed {SEED}"


async def _fill(it: Served, stream_id: str) -> dict[str, object]:
    """Append until the disk is full; the event that was refused, by a problem document."""
    while True:
        event = it.event(stream_id, 8000)
        answer = await it.send(stream_id, event)
        if answer.status_code in (200, 201):
            continue
        assert answer.status_code == 507, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["outcome"]) == ("store_full", "never_ran")
        return event


async def _sse_works(it: Served, stream_id: str) -> None:
    """A reader who comes while the disk is full gets what there is."""
    last = it.history[stream_id].read_last
    reader = it.follow(stream_id)
    async with anyio.create_task_group() as group:
        group.start_soon(reader.follow, it.http)
        with anyio.fail_after(10):
            while reader.last < last:  # noqa: ASYNC110
                await anyio.sleep(0.005)
        group.cancel_scope.cancel()


async def _has_seen(it: Served, reader: RawReader, stream_id: str) -> None:
    last = it.history[stream_id].acknowledged[-1][1]
    with anyio.fail_after(10):
        while reader.last < last:  # noqa: ASYNC110
            await anyio.sleep(0.005)
    it.judge()
