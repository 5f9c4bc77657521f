"""A server that is written and read while its route moves and comes back: nobody notices.

200 writers over HTTP, each with one request on its way, and 200 SSE readers on four streams. What
was acknowledged is told to every reader once and in order, no reader is disconnected, and no append
waits longer than the limit of the hold.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.live_switch import STREAMS, Live, run_live
from eventspine.contracts.limits import Limits
from eventspine.contracts.switch import Place
from tests.api.serving import Served, settings_of
from tests.switching.conftest import KEY

pytestmark = pytest.mark.slow
WRITERS, READERS = 200, 200
PAUSE_S_MAX = Limits().switch_hold_s_max


@pytest.mark.parametrize("source", ["filesystem", "memory"])
@pytest.mark.parametrize("native", [True, False], ids=["compiled", "python"])
def test_writers_and_readers_do_not_notice_a_switch(
    tmp_path: Path, source: str, native: bool
) -> None:
    with Served(tmp_path, settings_of(native=native)) as served:
        route = served.ask(lambda spine: spine.routes.get(KEY))
        if source != route.backend_type:
            wanted = Place(backend_type=source).in_place_of(route)
            served.ask(lambda spine: spine.routes.update(wanted.spec))
        live = asyncio.run(run_live(served.port, WRITERS, READERS))
    assert not any(reader.ended for reader in live.readers), "nobody was disconnected"
    for stream in STREAMS:
        look_at(live, stream)
    count = sum(len(writer.acknowledged) for writer in live.writers)
    longest = f"{1000 * live.longest_s:.0f} ms, {1000 * live.longest_before_s:.0f} ms before"
    print(f"{count} appends; the longest took {longest}; pauses of {live.pauses_ms} ms")
    assert live.longest_s < PAUSE_S_MAX + live.longest_before_s, "no longer than a hold"


def look_at(live: Live, stream: str) -> None:
    """What was acknowledged is what was told, to everybody."""
    told = [reader.told for reader in live.readers if reader.stream == stream]
    assert all(one == told[0] for one in told), "every reader was told the same"
    assert len(set(told[0])) == len(told[0]), "nothing twice"
    for writer in (one for one in live.writers if one.stream == stream):
        mine = [event_id for event_id in told[0] if event_id.startswith(writer.prefix)]
        assert mine == writer.acknowledged, "nothing lost, and in order"
