"""The whole replay against a real server: sent, killed in the middle, sent again, proved."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import orjson
import pytest

from eventspine.client import EventspineClient, RetryPolicy
from eventspine.client.replay.dataset import find_sources, read_source
from eventspine.client.replay.ledger import Acknowledged
from eventspine.client.replay.sender import Sender, SendOptions
from eventspine.client.replay.verify import Verifier
from tests.client.serving import COMMAND, ServerProcess

SAMPLE = Path(__file__).parents[2] / "examples" / "data"

pytestmark = pytest.mark.slow


def replay(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "replay", str(SAMPLE), "--url", url, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_the_sample_is_what_its_script_makes(tmp_path: Path) -> None:
    script = (SAMPLE / "make.py").read_bytes()
    (tmp_path / "make.py").write_bytes(script)
    subprocess.run(["python3", str(tmp_path / "make.py")], check=True)
    for source in find_sources(SAMPLE):
        again = tmp_path / source.path.relative_to(SAMPLE)
        assert read_source(source) == read_source(type(source)(source.name, source.kind, again))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("replay") / "var") as process:
        yield process


def test_a_replay_is_proved_and_running_it_again_adds_nothing(
    server: ServerProcess, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    first = replay(server.url, "--report", str(report))
    assert first.returncode == 0, first.stdout + first.stderr
    assert "pages: 282 events, 2 of 2 streams as sent" in first.stdout
    assert "sse: 282 events, 2 of 2 streams as sent" in first.stdout
    assert "equal" in first.stdout
    again = replay(server.url, "--batch", "7", "--clients", "1", "--report", str(report))
    assert again.returncode == 0, again.stdout
    written = orjson.loads(report.read_bytes())
    assert written["sent"]["duplicates"] == written["sent"]["events"] == 282
    assert written["as_sent"] is True


def test_one_event_a_request_and_a_pace_give_the_same(server: ServerProcess) -> None:
    options = ("--prefix", "single-", "--batch", "1", "--speed", "100000x")
    assert replay(server.url, *options).returncode == 0


def test_a_stream_that_is_not_what_was_sent_is_found(server: ServerProcess) -> None:
    options = ("--prefix", "spoilt-", "--streams", "chat-*")
    assert replay(server.url, *options, "--no-verify").returncode == 0
    event = '{"event_type":"chat.message","payload":{}}\n'
    subprocess.run(
        [*COMMAND, "append", "spoilt-chat-2026-01-05", "--url", server.url, "--quiet"],
        input=event.encode(),
        check=True,
    )
    result = replay(server.url, *options, "--no-send")
    assert result.returncode == 1
    assert "event 61: the recording has 60 events" in result.stdout


def test_a_folder_without_recordings_and_a_server_that_is_away_are_told(tmp_path: Path) -> None:
    empty = [*COMMAND, "replay", str(tmp_path)]
    result = subprocess.run(empty, capture_output=True, text=True, timeout=50, check=False)
    assert result.returncode == 1
    assert "holds no" in result.stderr
    away = replay("http://127.0.0.1:9", "--patience", "0.2s")
    assert away.returncode == 1
    assert away.stderr.startswith("error: http://127.0.0.1:9")


async def _killed_in_the_middle(server: ServerProcess) -> list[Acknowledged]:
    acknowledged: list[Acknowledged] = []
    kills = 3
    thresholds = [40, 120, 200]
    retry = RetryPolicy(patience_s=30, first_s=0.02, longest_s=0.1)
    sources = find_sources(SAMPLE)

    def on_ack(batch: Sequence[Acknowledged]) -> None:
        acknowledged.extend(batch)

    async with EventspineClient(server.url, retry=retry) as client:
        sender = Sender(client, SendOptions(batch=3, prefix="killed-"), on_ack=on_ack)
        async with anyio.create_task_group() as group:
            group.start_soon(sender.send, sources)
            for threshold in thresholds[:kills]:
                while len(acknowledged) < threshold:  # noqa: ASYNC110 - progress, not time
                    await anyio.sleep(0.001)
                await anyio.to_thread.run_sync(server.kill)
                await anyio.to_thread.run_sync(server.start)
        assert client.statistics().retries > 0
        verdicts = await Verifier(client, prefix="killed-").verify(sources)
        assert [verdict.difference for verdict in verdicts] == [None] * 4
        for source in sources:
            stream = f"killed-{source.name}"
            stored = [line async for line in client.iterate(stream)]
            acks = [ack for ack in acknowledged if ack.stream_id == stream]
            for ack in acks:
                event = orjson.loads(stored[ack.cursor.sequence - 1])
                assert (event["event_id"], event["cursor"]) == (ack.event_id, str(ack.cursor))
                assert ack.number == ack.cursor.sequence - 1
    return acknowledged


def test_no_acknowledged_event_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "var") as server:
        acknowledged = anyio.run(_killed_in_the_middle, server)
    assert len(acknowledged) == 282
