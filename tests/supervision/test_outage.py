"""A backend that is gone for a minute under a hundred thousand live keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from eventspine.services.spine import Spine
from tests.network.served import resident_bytes
from tests.supervision.breakable import (
    BACKEND,
    CONTEXT,
    Breakable,
    breakable,
    event,
    outcome,
    store_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

KEYS = 100_000
READERS = 20
CLIENTS = 50
OUTAGE_S = 60
# Back-off doubles from 0.1 s to 30 s, with full jitter: ten attempts are usual, and more than
# this many within a minute do not happen once in a million minutes.
ATTEMPTS_MAX = 30
LONGEST_BACKOFF_S = 30
MEMORY_MAX = 64 * 1024 * 1024


@pytest.mark.trio
async def test_a_minute_without_a_backend_costs_no_budget_and_everything_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with breakable(tmp_path, monkeypatch, autojump_clock) as (spine, state):
        for n in range(KEYS):
            await spine.head(f"s{n}", CONTEXT)
        seen: list[int] = []
        async with trio.open_nursery() as nursery:
            for n in range(READERS):
                nursery.start_soon(_follow, spine, f"s{n}", seen)
            assert await outcome(spine, "s0") == "stored"
            await _be_away(spine, state)
            await _all_is_back(spine, state)
            for n in range(READERS):
                await spine.close_stream(f"s{n}", CONTEXT)
        assert sorted(seen) == sorted([*range(READERS), 0])


async def _follow(spine: Spine, stream: str, seen: list[int]) -> None:
    async with await spine.subscribe(stream, CONTEXT) as reader:
        async for piece in reader:
            seen.extend(one.payload["n"] for one in piece.events)


async def _be_away(spine: Spine, state: Breakable) -> None:
    memory = resident_bytes(os.getpid())
    state.down = OSError(5, "the machine of the disk is gone")
    until = trio.current_time() + OUTAGE_S
    outcomes: dict[str, int] = {}

    async def client(number: int) -> None:
        while trio.current_time() < until:
            code = await outcome(spine, f"s{KEYS - 1 - number}")
            outcomes[code] = outcomes.get(code, 0) + 1
            await trio.sleep(0.5)

    async with trio.open_nursery() as nursery:
        for number in range(CLIENTS):
            nursery.start_soon(client, number)
    assert set(outcomes) == {"outcome_unknown", "store_unavailable"}
    assert outcomes["outcome_unknown"] <= CLIENTS  # what was on its way when it went
    assert outcomes["store_unavailable"] > CLIENTS * OUTAGE_S
    assert not spine.ready()["ready"]
    store = store_of(spine)
    assert 4 <= state.refused <= ATTEMPTS_MAX
    assert (store.restarts, store.outages) == (0, state.refused + 1)
    assert store.causes[-1].outage
    assert spine.tree().budget_left == spine.tree().intensity
    assert resident_bytes(os.getpid()) - memory < MEMORY_MAX


async def _all_is_back(spine: Spine, state: Breakable) -> None:
    state.down = None
    with trio.fail_after(LONGEST_BACKOFF_S + 2):
        while not spine.ready()["ready"]:  # noqa: ASYNC110 - as a probe of /readyz does
            await trio.sleep(0.1)
    assert state.opened == 2
    for n in range(READERS):
        appended = await spine.append(f"s{n}", event(n), CONTEXT)
        assert list(appended.sequences) == [2 if n == 0 else 1]
    for n in range(READERS, KEYS, 50):
        assert await outcome(spine, f"s{n}") == "stored"
    (backend,) = (child for child in spine.tree().children if child.name == BACKEND)
    assert (backend.state, backend.restarts) == ("running", 0)
    assert backend.below is not None
    assert backend.below.budget_left == backend.below.intensity
