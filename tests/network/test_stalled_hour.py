"""An hour in which a reader takes nothing, on trio's own clock, and then it goes on.

The clock jumps once nothing has run for `THREAD_S`: commits run on a thread, which it cannot see,
and a clock that jumps at once would let whole hours pass during each of them.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from eventspine.contracts.limits import Limits
from eventspine.services.spine import Spine
from tests.actors.test_quiet_readers import CONTEXT, HOUR_S, quiet_spine

pytestmark = pytest.mark.slow

LEAST_EVENTS = 500
THREAD_S = 0.0003  # about what a commit in memory takes
READER_BYTES_MAX = 3 * 1024 * 1024  # the shared tail of its stream; its lines are the store's


async def _an_hour_of_events(spine: Spine, stream: str) -> tuple[int, int]:
    """How many there were, and by how much memory has grown."""
    before, _ = tracemalloc.get_traced_memory()
    began, count = trio.current_time(), 0
    while trio.current_time() < began + HOUR_S or count < LEAST_EVENTS:
        event = {"event_type": "t", "payload": {"n": count, "x": "x" * 1000}}
        await spine.append(stream, event, CONTEXT)
        count += 1
        await trio.sleep(6)
    return count, tracemalloc.get_traced_memory()[0] - before


@pytest.mark.trio
async def test_a_reader_that_stalls_for_an_hour_costs_no_queue_and_catches_up(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with quiet_spine(tmp_path, autojump_clock, Limits()) as spine:
        autojump_clock.autojump_threshold = THREAD_S
        tracemalloc.start()
        try:
            alone, growth_alone = await _an_hour_of_events(spine, "nobody")
            async with await spine.subscribe("stalled", CONTEXT) as reader:
                count, growth = await _an_hour_of_events(spine, "stalled")
                assert growth / count - growth_alone / alone < READER_BYTES_MAX / count
                await spine.close_stream("stalled", CONTEXT)
                seen = [one.payload["n"] async for piece in reader for one in piece.events]
                assert reader.ended == "closed"
            assert seen == list(range(count))
        finally:
            tracemalloc.stop()
