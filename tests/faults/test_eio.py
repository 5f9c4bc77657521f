"""A disk that fails a write or a sync, under a real server: what it answers, and how it comes back.

strace makes one call of the server fail with EIO: the durable write to the log (pwritev2), a sync
of a new log segment or a folder (fsync), or the sync of a stream's file (fdatasync). What was on
its way then is not acknowledged; the store is opened anew, in the same process; readers stay
connected. Where a spare segment was all that failed, nothing had been promised: it is counted, all
appends are stored, and the call is made to fail again until it hits what counts.
"""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.faults.injecting import injected
from tests.faults.serving import Served, served
from tests.faults.volume import missing_for
from tests.torture.readers import RawReader
from tests.torture.report import Report
from tests.torture.test_sigkill import ROUNDS, SEED, report_of

CALLS = ("pwritev2", "fsync", "fdatasync")
SERVERS = 4
QUIET_S = 5.2  # a store that was well for 5 s starts anew with the shortest pause
BACK_S_MAX = 5.0
TRIES_MAX = 200
SPARES_FAILED = 'eventspine_store_details{name="filesystem:.",of="spare_segments_failed"}'

pytestmark = [pytest.mark.torture, pytest.mark.root, pytest.mark.timeout(240 + 20 * ROUNDS)]


@pytest.fixture(autouse=True)
def _tools() -> None:
    missing = missing_for("strace")
    if missing:
        pytest.skip(missing)


def test_an_error_of_the_disk_acknowledges_nothing_and_needs_no_restart(tmp_path: Path) -> None:
    report = report_of("eio")
    back_s: list[float] = []

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(SERVERS):
                folder = tmp_path / str(number)
                folder.mkdir()
                rounds = range(number, ROUNDS, SERVERS)
                group.start_soon(_suffer, folder, report, rounds, back_s)

    anyio.run(main)
    report.figures["seconds until the append was stored, at most"] = round(max(back_s), 2)
    report.done()
    print(report.as_markdown())
    assert len(back_s) == ROUNDS


async def _suffer(folder: Path, report: Report, rounds: range, back_s: list[float]) -> None:
    async with served(folder, report) as it, anyio.create_task_group() as readers:
        await it.send_until_stored("quiet", it.event("quiet", 10), 5)
        await it.send_until_stored("s0", it.event("s0", 10), 5)
        reader = it.follow("s0")
        readers.start_soon(reader.follow, it.http)
        await _caught_up(reader, it)  # connected before the first fault, so never again
        for number in rounds:
            call = CALLS[number % len(CALLS)]
            while (refused := await _hit(it, call, f"s{number % 2}", folder / "trace")) is None:
                report.fault(f"EIO at {call} of a spare segment")
            report.fault(f"EIO at {call}")
            back_s.append(await it.send_until_stored(*refused, BACK_S_MAX))
            assert await it.read("quiet", "pages of another stream") == 1
            await it.read(refused[0], "pages")
            await anyio.sleep(QUIET_S)
        await _caught_up(reader, it)
        assert reader.connections == 1, f"the reader was sent away: {reader.ends}"
        readers.cancel_scope.cancel()


async def _caught_up(reader: RawReader, it: Served) -> None:
    last = it.history["s0"].acknowledged[-1][1]
    with anyio.fail_after(10):
        while reader.last < last:  # noqa: ASYNC110
            await anyio.sleep(0.005)


async def _hit(
    it: Served, call: str, stream_id: str, trace: Path
) -> tuple[str, dict[str, object]] | None:
    """Let a call fail, and append until an answer is no acknowledgement; the event it was for.

    None: only a spare segment was hit.
    """
    spares = await _spares_failed(it)
    with injected(it.server.pid, call, "error=EIO:when=1", trace) as fault:
        async with anyio.create_task_group() as watching:
            watching.start_soon(fault.let_go_once_happened)
            for _ in range(TRIES_MAX):
                event = it.event(stream_id, 8000)
                answer = await it.send(stream_id, event)
                if answer.status_code not in (200, 201):
                    assert answer.status_code == 503, answer.text
                    assert answer.json()["code"] in ("outcome_unknown", "store_unavailable")
                    assert fault.happened
                    return stream_id, event
                if fault.times == 1 and await _spares_failed(it) > spares:
                    return None
    raise AssertionError(f"seed {SEED}: no append failed, but {trace.read_text() or 'no call'}")


async def _spares_failed(it: Served) -> float:
    """In the store that is open; 0 when none is, of which the next answer tells."""
    try:
        return await anyio.to_thread.run_sync(it.server.figure, SPARES_FAILED)
    except LookupError:
        return 0.0
