"""One key that fails again and again rests alone; how it comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from eventspine.api.problem import problem
from eventspine.contracts.errors import Quarantined
from tests.supervision.breakable import CONTEXT, breakable, event, outcome, store_of

pytestmark = pytest.mark.slow

NEIGHBOURS = 200


@pytest.mark.trio
async def test_a_poisoned_key_rests_alone_and_comes_back_by_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with breakable(tmp_path, monkeypatch, autojump_clock) as (spine, state):
        state.poisoned["bad"] = ZeroDivisionError("a bug that only this key meets")
        for _ in range(3):  # the first three are told of the bug itself
            with pytest.raises(ZeroDivisionError):
                await spine.append("bad", event(), CONTEXT)
        for rest_s in (1, 2, 4, 8):
            refusal = await _refusal(spine)
            assert str(refusal.fields["cause"]).startswith("ZeroDivisionError")
            assert rest_s - 0.5 < float(str(refusal.fields["retry_after_s"])) <= rest_s
            for n in range(NEIGHBOURS):
                assert await outcome(spine, f"good{n}", n) == "stored"
            await trio.sleep(rest_s)
            with pytest.raises(ZeroDivisionError):  # the trial, and the rest is twice as long
                await spine.append("bad", event(), CONTEXT)
        state.poisoned.clear()
        assert await outcome(spine, "bad") == "quarantined"
        await trio.sleep(16)
        assert await outcome(spine, "bad") == "stored"
        assert await outcome(spine, "bad") == "stored"
        assert (store_of(spine).restarts, store_of(spine).outages) == (0, 0)
        assert spine.ready()["ready"]
        assert state.opened == 1


async def _refusal(spine) -> Quarantined:
    with pytest.raises(Quarantined) as caught:
        await spine.append("bad", event(), CONTEXT)
    return caught.value


@pytest.mark.trio
async def test_reads_of_a_poisoned_key_rest_with_it_and_its_lines_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with breakable(tmp_path, monkeypatch, autojump_clock) as (spine, state):
        await spine.append("bad", event(7), CONTEXT)
        await spine.append("good", event(8), CONTEXT)
        spine._hosts[0].directory.reset("event_stream/t/e/_/bad", "forget it")  # as idle ones are
        state.poisoned["bad"] = ZeroDivisionError()
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await spine.list_after("bad", None, CONTEXT)
        with pytest.raises(Quarantined):
            await spine.list_after("bad", None, CONTEXT)
        assert len((await spine.list_after("good", None, CONTEXT)).lines) == 1
        state.poisoned.clear()
        await trio.sleep(1.1)
        page = await spine.list_after("bad", None, CONTEXT)
        assert [one.payload["n"] for one in page.events] == [7]


def test_over_http_a_resting_key_is_a_503_that_says_when() -> None:
    answer = problem(Quarantined("it rests", key="k", cause="x", retry_after_s=3.2), "/v1", "r")
    assert answer.status_code == 503
    assert (b"retry-after", b"4") in answer.raw_headers
