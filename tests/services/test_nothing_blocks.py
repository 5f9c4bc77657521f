"""No blocking call runs on the event loop: blockbuster raises where one would."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from blockbuster import blockbuster_ctx

import eventspine
from eventspine import RequestContext, Settings
from eventspine.contracts.limits import Limits

CONTEXT = RequestContext(tenant_id="t_demo", env="dev", mode="lab")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # what blockbuster knows to watch


def event(n: int) -> dict[str, object]:
    return {"event_type": "n", "payload": {"n": n}, "event_id": f"id {n}"}


@pytest.mark.anyio
async def test_the_life_of_a_stream_never_blocks_the_loop(tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(anyio.run, eventspine.init, tmp_path)
    async with eventspine.open(tmp_path) as spine:
        with blockbuster_ctx("eventspine"):
            await spine.append_batch("s", [event(n) for n in range(600)], CONTEXT)
            await spine.append_batch("s", [event(n) for n in range(590, 1700)], CONTEXT)
            async with await spine.subscribe("s", CONTEXT) as reader:
                seen = 0
                while seen < 1700:
                    piece = await reader.next()
                    seen += len(piece.lines) if piece is not None else 0
            page = await spine.list_after("s", "id 1000", CONTEXT)
            assert page.first == 1002
            await spine.close_stream("s", CONTEXT)
            await spine.delete_stream("s", CONTEXT)
    async with eventspine.open(tmp_path) as spine:
        with blockbuster_ctx("eventspine"):
            assert (await spine.head("s", CONTEXT)).cursor.epoch == 2


@pytest.mark.anyio
async def test_the_life_of_a_dataset_never_blocks_the_loop(tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(anyio.run, eventspine.init, tmp_path)
    limits = Limits(analytics_segment_events=100)
    async with eventspine.open(tmp_path, settings=Settings(limits=limits)) as spine:
        with blockbuster_ctx("eventspine"):
            analytics = spine.analytics(CONTEXT)
            events = [{"event": "e", "event_id": f"id {n}", "user_id": "u"} for n in range(1700)]
            await analytics.ingest(events)
            await analytics.ingest(events[1600:])
            assert (await analytics.query({})).rows == [[1700]]
            assert (await analytics.funnel({"steps": [{"event": "e"}]})).rows[0][2] == 1
