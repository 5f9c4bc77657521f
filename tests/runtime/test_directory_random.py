"""Random schedules: every ask has one definite outcome, and turns keep their order."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio import create_task_group
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventspine.contracts.errors import DeadlineExceeded, Overloaded
from eventspine.runtime.directory import Directory
from eventspine.runtime.limits import DirectoryLimits
from eventspine.testing.virtual_time import run_virtual
from tests.inner import examples

ask = st.fixed_dictionaries(
    {
        "key": st.sampled_from("ab"),
        "at_s": st.integers(0, 6),
        "hold_s": st.integers(0, 3),
        "cancel_at_s": st.none() | st.integers(0, 8),
        "wait_s": st.none() | st.integers(0, 4),
        "crash": st.integers(0, 9).map(lambda number: number == 0),
        "control": st.integers(0, 5).map(lambda number: number == 0),
        "reset": st.integers(0, 9).map(lambda number: number == 0),
        "fail_activation": st.integers(0, 9).map(lambda number: number == 0),
    }
)

RAN = {
    "result": (1,),
    "crashed": (1,),
    "never ran": (0,),
    "not activated": (0,),
    "cancelled": (0, 1),
}


class Schedule:
    """Runs the asks and writes down what happened, in order."""

    def __init__(self, asks: list[dict[str, Any]]) -> None:
        self.asks = asks
        self.joined: dict[str, list[int]] = {"a": [], "b": []}
        self.ran: dict[str, list[int]] = {"a": [], "b": []}
        self.inside = {"a": 0, "b": 0}
        self.outcome: dict[int, list[str]] = {number: [] for number in range(len(asks))}
        self.activating = {"a": 0, "b": 0}
        self.fail_next = False
        self.directory: Directory[str] = Directory(
            "d",
            self.activate,
            limits=DirectoryLimits(
                waiters_max=4, turn_wait_s=5.0, activations_max=1, crashes_max=10**6, cells_max=1000
            ),
        )

    async def activate(self, key: str) -> str:
        self.activating[key] += 1
        assert self.activating[key] == 1
        try:
            await anyio.sleep(0.25)
            if self.fail_next:
                self.fail_next = False
                raise OSError("activation")
            return key
        finally:
            self.activating[key] -= 1

    async def one(self, number: int, ask: dict[str, Any]) -> None:
        key = ask["key"]

        async def work(state: str) -> None:
            self.ran[key].append(number)
            self.inside[key] += 1
            assert self.inside[key] == 1
            try:
                await anyio.sleep(ask["hold_s"])
                if ask["crash"]:
                    raise RuntimeError("crash")
            finally:
                self.inside[key] -= 1

        await anyio.sleep(ask["at_s"])
        self.fail_next = self.fail_next or ask["fail_activation"]
        if ask["reset"]:
            self.directory.reset(key, "schedule")
        deadline = None if ask["wait_s"] is None else anyio.current_time() + ask["wait_s"]
        if not ask["control"]:
            self.joined[key].append(number)
        take = self.directory.control if ask["control"] else self.directory.turn
        self.outcome[number].append(await self.end_of(take, key, work, deadline))

    async def end_of(self, take, key, work, deadline) -> str:
        try:
            await take(key, work, deadline=deadline)
        except (Overloaded, DeadlineExceeded):
            return "never ran"
        except RuntimeError:
            return "crashed"
        except OSError:
            return "not activated"
        return "result"

    async def run(self) -> None:
        with anyio.fail_after(10_000):  # nobody hangs
            async with create_task_group() as tasks:
                for number, ask in enumerate(self.asks):
                    tasks.start_soon(self.cancellable, number, ask)
        self.fail_next = False
        for key in "ab":
            assert await self.directory.turn(key, self.same) == key
        self.end = self.directory.statistics()

    async def same(self, state: str) -> str:
        return state

    async def cancellable(self, number: int, ask: dict[str, Any]) -> None:
        limit_s = ask["cancel_at_s"]
        with anyio.CancelScope() as scope:
            if limit_s is not None:
                scope.deadline = anyio.current_time() + limit_s + 0.1
            await self.one(number, ask)
        if scope.cancelled_caught:
            self.outcome[number].append("cancelled")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_ask_has_one_outcome_and_turns_run_in_order_of_arrival(backend) -> None:
    @settings(
        max_examples=examples(150),
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(ask, min_size=1, max_size=14), st.integers(0, 2**31))
    def holds(asks: list[dict[str, Any]], seed: int) -> None:
        schedule = Schedule(asks)
        run_virtual(schedule.run, backend=backend, seed=seed)
        for number, outcome in schedule.outcome.items():
            assert len(outcome) == 1, (number, outcome)
            ran = schedule.ran[asks[number]["key"]].count(number)
            assert ran in RAN[outcome[0]], (number, outcome)
        for key, order in schedule.ran.items():
            arrived = [number for number in schedule.joined[key] if number in order]
            assert [number for number in order if not asks[number]["control"]] == arrived
        assert schedule.end.counters.waiting == 0
        assert schedule.end.running_now == 0

    holds()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_same_seed_gives_the_same_schedule(backend) -> None:
    def trace(seed: int) -> list[int]:
        order: list[int] = []

        async def one(number: int) -> None:
            await anyio.sleep(3600)
            order.append(number)

        async def main() -> None:
            async with create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(one, number)

        run_virtual(main, backend=backend, seed=seed)
        return order

    assert trace(1) == trace(1)
    assert len({tuple(trace(seed)) for seed in range(6)}) > 1
