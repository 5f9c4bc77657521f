"""A client that goes on while its server is killed and started again."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from eventspine.client import EventspineClient, RetryPolicy, TailEvent
from tests.client.serving import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ROUNDS = 3
BATCH = 40


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the restarts are the same on every loop; test_client runs on all


async def test_a_reader_and_a_writer_live_through_kills(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "var") as server:
        retry = RetryPolicy(patience_s=30, first_s=0.02, longest_s=0.1)
        async with EventspineClient(server.url, retry=retry) as client:
            seen: list[int] = []
            arrived = anyio.Event()
            acknowledged: list[int] = []

            async def read() -> None:
                async with aclosing(client.tail("s")) as items:
                    async for item in items:
                        assert isinstance(item, TailEvent)
                        seen.append(item.cursor.sequence)
                        if len(seen) == ROUNDS * BATCH:
                            arrived.set()

            async def write() -> None:
                for n in range(ROUNDS * BATCH):
                    event = {"event_type": "n", "payload": {"n": n}}
                    appended = await client.append("s", event)
                    acknowledged.append(appended.cursors[0].sequence)

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(write)
                for number in range(1, ROUNDS):
                    while len(acknowledged) < number * BATCH:  # noqa: ASYNC110 - progress, not time
                        await anyio.sleep(0.001)
                    await anyio.to_thread.run_sync(server.kill)
                    await anyio.to_thread.run_sync(server.start)
                await arrived.wait()
                group.cancel_scope.cancel()
            assert acknowledged == seen == list(range(1, ROUNDS * BATCH + 1))
            page = await client.list_after("s", limit=1000)
            assert [event.payload["n"] for event in page.events] == list(range(ROUNDS * BATCH))
