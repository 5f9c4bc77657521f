"""Turns, activation, reset, quarantine and refusals of the directory."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

import anyio
import pytest
from anyio import create_task_group, wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from eventspine.contracts.errors import (
    DeadlineExceeded,
    Deadlock,
    Draining,
    Overloaded,
    Quarantined,
    StoreUnavailable,
)
from eventspine.runtime.directory import Directory
from eventspine.runtime.limits import DirectoryLimits
from eventspine.testing.virtual_time import VIRTUAL

pytestmark = pytest.mark.anyio
virtual_time = pytest.mark.parametrize("anyio_backend", VIRTUAL, indirect=True)


class Box:
    """State of a test cell: which activation made it, and what was done to it."""

    def __init__(self, key: str, number: int) -> None:
        self.key = key
        self.number = number
        self.done: list[object] = []


class Boxes:
    """Counts activations, and fails them on demand."""

    def __init__(self) -> None:
        self.made: dict[str, int] = {}
        self.fail: list[Exception] = []
        self.hold: anyio.Event | None = None
        self.at_once = self.at_once_peak = 0

    async def activate(self, key: str) -> Box:
        self.made[key] = self.made.get(key, 0) + 1
        self.at_once += 1
        self.at_once_peak = max(self.at_once_peak, self.at_once)
        try:
            if self.hold is not None:
                await self.hold.wait()
            if self.fail:
                raise self.fail.pop(0)
            return Box(key, self.made[key])
        finally:
            self.at_once -= 1


@pytest.fixture
def boxes() -> Boxes:
    return Boxes()


def directory_of(boxes: Boxes, name: str = "d", **limits) -> Directory[Box]:
    return Directory(name, boxes.activate, limits=DirectoryLimits(**limits), rng=random.Random(1))


async def number(box: Box) -> int:
    return box.number


async def boom(box: Box) -> None:
    raise RuntimeError("boom")


class Occupied:
    """A turn on `key` that lasts until `free` is set."""

    def __init__(self, directory: Directory[Box], key: str) -> None:
        self.directory, self.key, self.free = directory, key, anyio.Event()

    async def work(self, box: Box) -> None:
        await self.free.wait()

    async def hold(self, *, task_status) -> None:
        async def begin(box: Box) -> None:
            task_status.started()
            await self.free.wait()

        await self.directory.turn(self.key, begin)


def incarnation_of(directory: Directory[Box], key: str) -> int:
    incarnation = directory.incarnation(key)
    assert incarnation is not None
    return incarnation


async def outcome_of(ask, *args, **kwargs) -> object:
    try:
        return await ask(*args, **kwargs)
    except Exception as error:
        return type(error)


# --- turns ---------------------------------------------------------------------------------


async def test_a_key_is_activated_once_and_keeps_its_state(boxes) -> None:
    directory = directory_of(boxes)
    assert directory.live("k") is None
    assert [await directory.turn("k", number) for _ in range(3)] == [1, 1, 1]
    box = directory.live("k")
    assert box is not None
    assert box.number == 1
    assert boxes.made == {"k": 1}
    statistics = directory.statistics()
    assert (statistics.turns, statistics.cells_now, statistics.counters.activations) == (4, 1, 1)
    assert statistics.turn_hold.count == 3
    assert statistics.turn_wait.count == 0


async def test_concurrent_asks_of_a_cold_key_activate_it_once(boxes) -> None:
    directory, got = directory_of(boxes), []
    boxes.hold = anyio.Event()

    async def ask() -> None:
        got.append(await directory.turn("k", number))

    async with create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
        await wait_all_tasks_blocked()
        boxes.hold.set()
    assert got == [1] * 5
    assert boxes.made == {"k": 1}


async def test_turns_exclude_each_other_and_live_sees_no_half_done_turn(boxes) -> None:
    directory, inside = directory_of(boxes), 0

    async def work(box: Box) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        assert directory.live("k") is None
        await checkpoint()
        inside -= 1

    async with create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(directory.turn, "k", work)
    assert directory.live("k") is not None


async def test_peek_sees_the_state_even_while_a_turn_runs(boxes) -> None:
    directory = directory_of(boxes)
    occupied = Occupied(directory, "k")
    assert directory.peek("k") is None
    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        assert directory.live("k") is None
        box = directory.peek("k")
        assert box is not None
        assert box.number == 1
        directory.reset("k", "test")
        assert directory.peek("k") is None
        occupied.free.set()


async def test_turns_run_in_order_of_arrival_and_control_goes_first(boxes) -> None:
    directory, order = directory_of(boxes), []
    occupied = Occupied(directory, "k")

    async def ask(name: str, ask_of) -> None:
        async def work(box: Box) -> None:
            order.append(name)
            await checkpoint()

        await ask_of("k", work)

    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        for name, ask_of in [
            ("1", directory.turn),
            ("2", directory.turn),
            ("c1", directory.control),
            ("3", directory.turn),
            ("c2", directory.control),
        ]:
            tasks.start_soon(ask, name, ask_of)
            await wait_all_tasks_blocked()
        snapshot = directory.snapshot("k")
        assert snapshot is not None
        assert (snapshot.running, snapshot.waiting, snapshot.waiting_control) == (True, 3, 2)
        occupied.free.set()
    assert order == ["c1", "c2", "1", "2", "3"]
    counters = directory.statistics().counters
    assert (counters.waiting, counters.waiting_peak) == (0, 5)
    assert directory.statistics().turn_wait.count == 5


async def test_nobody_barges_in_between_the_end_of_a_turn_and_the_next_in_line(boxes) -> None:
    directory, order = directory_of(boxes), []
    occupied = Occupied(directory, "k")

    async def ask(name: str) -> None:
        async def work(box: Box) -> None:
            order.append(name)

        await directory.turn("k", work)

    async def barger() -> None:
        await directory.turn("k", occupied.work)
        assert directory.live("k") is None  # handed over already, although nobody has run yet
        await ask("barger")  # without suspending in between

    async with create_task_group() as tasks:
        tasks.start_soon(barger)
        await wait_all_tasks_blocked()
        tasks.start_soon(ask, "patient")
        await wait_all_tasks_blocked()
        occupied.free.set()
    assert order == ["patient", "barger"]


async def test_a_full_line_refuses_the_next_but_never_control(boxes) -> None:
    directory = directory_of(boxes, waiters_max=2)
    occupied = Occupied(directory, "k")
    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        for _ in range(2):
            tasks.start_soon(directory.turn, "k", number)
        await wait_all_tasks_blocked()
        with pytest.raises(Overloaded) as refused:
            await directory.turn("k", number)
        assert refused.value.fields["limit"] == "waiters_max"
        assert refused.value.fields["maximum"] == 2
        assert refused.value.fields["retry_after_s"] == pytest.approx(0.05, abs=5.0)
        assert refused.value.fields["retry_after_s"] != 0
        for _ in range(3):
            tasks.start_soon(directory.control, "k", number)
        await wait_all_tasks_blocked()
        assert await directory.turn("other", number) == 1
        occupied.free.set()
    assert directory.statistics().counters.overloaded_refused == 1


async def test_a_cancelled_waiter_leaves_the_line_and_the_rest_get_their_turns(boxes) -> None:
    directory, got = directory_of(boxes), []
    occupied = Occupied(directory, "k")

    async def ask(name: int, scope: anyio.CancelScope) -> None:
        async def work(box: Box) -> None:
            got.append(name)

        with scope:
            await directory.turn("k", work)

    scopes = [anyio.CancelScope() for _ in range(5)]
    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        for name, scope in enumerate(scopes):
            tasks.start_soon(ask, name, scope)
            await wait_all_tasks_blocked()
        for name in (0, 2, 4):
            scopes[name].cancel()
        await wait_all_tasks_blocked()
        assert directory.statistics().counters.waiting == 2
        occupied.free.set()
    assert got == [1, 3]
    assert directory.live("k") is not None


@pytest.mark.parametrize("native", [False, True])
async def test_a_waiter_cancelled_as_the_cell_is_handed_to_it_passes_it_on(
    boxes, native, anyio_backend_name
) -> None:
    if native and anyio_backend_name != "asyncio":
        pytest.skip("only asyncio can cancel a task natively")
    directory, got = directory_of(boxes), []
    occupied, scope = Occupied(directory, "k"), anyio.CancelScope()
    native_tasks: list[Any] = []

    async def hold() -> None:
        await directory.turn("k", occupied.work)
        # The hand-over has just happened, and who got the cell has not run yet.
        for task in native_tasks:
            task.cancel()
        if not native:
            scope.cancel()

    async def suspending(box: Box) -> None:
        await checkpoint()

    async def doomed() -> None:
        if native:
            native_tasks.append(asyncio.current_task())
        with scope, suppress(asyncio.CancelledError):
            await directory.turn("k", suspending)

    async def patient() -> None:
        got.append(await directory.turn("k", number))

    async with create_task_group() as tasks:
        for start in (hold, doomed, patient):
            tasks.start_soon(start)
            await wait_all_tasks_blocked()
        occupied.free.set()
    assert got == [1]
    assert directory.live("k") is not None
    assert directory.statistics().running_now == 0


async def test_a_cancelled_turn_keeps_the_state_and_frees_the_cell(boxes) -> None:
    directory = directory_of(boxes)
    occupied = Occupied(directory, "k")
    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        tasks.cancel_scope.cancel()
    assert await directory.turn("k", number) == 1
    assert directory.statistics().counters.crashes == 0


async def test_a_cancelled_activation_is_tried_again_by_the_next_in_line(boxes) -> None:
    directory, got = directory_of(boxes), []
    boxes.hold = anyio.Event()
    scope = anyio.CancelScope()

    async def first() -> None:
        with scope:
            await directory.turn("k", number)

    async def second() -> None:
        got.append(await directory.turn("k", number))

    async with create_task_group() as tasks:
        tasks.start_soon(first)
        await wait_all_tasks_blocked()
        tasks.start_soon(second)
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        boxes.hold.set()
    assert got == [2]


# --- deadlines -----------------------------------------------------------------------------


@virtual_time
async def test_work_whose_deadline_passes_in_line_never_runs(boxes) -> None:
    directory, ran = directory_of(boxes, turn_wait_s=3.0), []
    occupied = Occupied(directory, "k")

    async def work(box: Box) -> None:
        ran.append(anyio.current_time())

    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        began_s = anyio.current_time()
        with pytest.raises(DeadlineExceeded):
            await directory.turn("k", work, deadline=began_s + 1.0)
        assert anyio.current_time() - began_s == pytest.approx(1.0)
        with pytest.raises(DeadlineExceeded):
            await directory.turn("k", work)
        assert anyio.current_time() - began_s == pytest.approx(4.0)
        occupied.free.set()
    assert ran == []
    assert directory.statistics().counters.deadline_refused == 2
    assert directory.statistics().counters.waiting == 0
    with pytest.raises(DeadlineExceeded):
        await directory.turn("k", work, deadline=anyio.current_time() - 0.1)
    assert ran == []


async def test_a_turn_that_is_handed_over_but_gets_to_run_too_late_never_runs(boxes) -> None:
    directory, got = directory_of(boxes), []
    occupied = Occupied(directory, "k")

    async def ask() -> None:
        deadline = anyio.current_time() + 60.0
        got.append(await outcome_of(directory.turn, "k", boom, deadline=deadline))

    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        tasks.start_soon(ask)
        await wait_all_tasks_blocked()
        late_s = anyio.current_time() + 61.0
        directory._clock._read = lambda: late_s  # the loop stalled before it could run the waiter
        occupied.free.set()
    assert got == [DeadlineExceeded]
    assert directory.live("k") is not None


@virtual_time
async def test_control_waits_without_a_deadline_of_its_own(boxes) -> None:
    directory = directory_of(boxes, turn_wait_s=1.0)
    occupied = Occupied(directory, "k")
    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        tasks.start_soon(directory.control, "k", number)
        await anyio.sleep(1000)
        assert directory.statistics().counters.waiting == 1
        occupied.free.set()
    assert directory.statistics().counters.deadline_refused == 0


@virtual_time
async def test_the_deadline_bounds_the_activation_but_not_the_work(boxes) -> None:
    directory = directory_of(boxes, turn_wait_s=2.0)
    boxes.hold = anyio.Event()
    began_s = anyio.current_time()
    with pytest.raises(DeadlineExceeded):
        await directory.turn("k", number)
    assert anyio.current_time() - began_s == pytest.approx(2.0)
    assert len(directory) == 0
    boxes.hold = None

    async def long(box: Box) -> str:
        await anyio.sleep(60)
        return "done"

    assert await directory.turn("k", long) == "done"
    assert directory.statistics().turn_hold.max_s == pytest.approx(60)


# --- crashes -------------------------------------------------------------------------------


async def test_a_crash_resets_the_cell_and_reaches_its_caller_as_it_is(boxes) -> None:
    directory = directory_of(boxes)
    await directory.turn("k", number)
    assert directory.incarnation("k") == 1
    with pytest.raises(RuntimeError, match="boom"):
        await directory.turn("k", boom)
    assert directory.live("k") is None
    assert await directory.turn("k", number) == 2
    assert directory.incarnation("k") == 2
    assert directory.statistics().counters.crashes == 1


async def test_an_answer_is_not_a_crash(boxes) -> None:
    directory = directory_of(boxes)

    async def answer(box: Box) -> None:
        raise StoreUnavailable("down")

    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            await directory.turn("k", answer)
    assert boxes.made == {"k": 1}
    assert directory.statistics().counters.crashes == 0


async def test_a_crash_that_races_a_cancellation_still_resets(boxes) -> None:
    directory = directory_of(boxes)
    await directory.turn("k", number)

    async def crash_when_cancelled(box: Box) -> None:
        async with create_task_group() as inner:
            inner.start_soon(anyio.sleep_forever)
            try:
                await anyio.sleep_forever()
            finally:
                raise RuntimeError("while cancelled")

    with suppress(BaseException):
        async with create_task_group() as tasks:
            tasks.start_soon(directory.turn, "k", crash_when_cancelled)
            await wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert await directory.turn("k", number) == 2


async def test_an_activation_failure_is_answered_in_turn_and_each_tries_again(boxes) -> None:
    directory, got = directory_of(boxes), []
    boxes.fail = [StoreUnavailable("1"), StoreUnavailable("2")]
    boxes.hold = anyio.Event()

    async def ask() -> None:
        got.append(await outcome_of(directory.turn, "k", number))

    async with create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(ask)
            await wait_all_tasks_blocked()
        boxes.hold.set()
    assert got == [StoreUnavailable, StoreUnavailable, 3, 3]
    assert boxes.at_once_peak == 1
    assert directory.statistics().counters.activation_failures == 2


async def test_a_key_that_cannot_be_activated_leaves_nothing_behind(boxes) -> None:
    directory = directory_of(boxes)
    boxes.fail = [StoreUnavailable("down") for _ in range(100)]
    for key in range(100):
        with pytest.raises(StoreUnavailable):
            await directory.turn(str(key), number)
    assert len(directory) == 0


@virtual_time
async def test_a_poisoned_key_rests_alone_and_one_trial_ends_it(boxes) -> None:
    directory = directory_of(boxes, crashes_max=2, rest_s_min=10.0)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            await directory.turn("bad", boom)
    with pytest.raises(Quarantined) as refused:
        await directory.turn("bad", number)
    assert refused.value.fields["key"] == "bad"
    assert "boom" in str(refused.value.fields["cause"])
    assert refused.value.fields["retry_after_s"] == pytest.approx(10.0)
    assert await directory.turn("good", number) == 1
    assert directory.statistics().quarantined_keys_now == 1
    await anyio.sleep(10.1)
    with pytest.raises(RuntimeError):
        await directory.turn("bad", boom)
    assert (await outcome_of(directory.turn, "bad", number)) is Quarantined
    await anyio.sleep(20.1)
    assert isinstance(await directory.turn("bad", number), int)
    with pytest.raises(RuntimeError):
        await directory.turn("bad", boom)
    assert isinstance(await directory.turn("bad", number), int)
    assert directory.statistics().counters.quarantined_refused == 2


async def test_those_in_line_of_a_key_that_goes_into_quarantine_are_answered(boxes) -> None:
    directory, got = directory_of(boxes, crashes_max=1), []
    occupied = Occupied(directory, "k")

    async def ask(work) -> None:
        got.append(await outcome_of(directory.turn, "k", work))

    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        for work in (boom, number, number):
            tasks.start_soon(ask, work)
            await wait_all_tasks_blocked()
        occupied.free.set()
    assert got == [RuntimeError, Quarantined, Quarantined]
    assert isinstance(await directory.control("k", number), int)


async def test_a_poisoned_log_quarantines_its_key(boxes) -> None:
    directory = directory_of(boxes, crashes_max=2)
    boxes.fail = [ValueError("bad record"), ValueError("bad record")]
    for _ in range(2):
        with pytest.raises(ValueError, match="bad record"):
            await directory.turn("k", number)
    with pytest.raises(Quarantined):
        await directory.turn("k", number)


async def test_a_crash_of_a_live_turn_counts_when_it_is_reported(boxes) -> None:
    directory = directory_of(boxes, crashes_max=2)
    await directory.turn("k", number)
    directory.reset("k", "tidying")
    directory.reset("k", StoreUnavailable("down"))
    directory.reset("k", ValueError("1"))
    assert isinstance(await directory.turn("k", number), int)
    directory.reset("k", ValueError("2"))
    with pytest.raises(Quarantined):
        await directory.turn("k", number)


# --- reset ---------------------------------------------------------------------------------


async def test_a_running_turn_keeps_its_state_and_the_next_gets_a_new_one(boxes) -> None:
    directory, got = directory_of(boxes), []

    async def work(box: Box) -> None:
        before = directory.incarnation("k")
        directory.reset("k", "test")
        got.append((box.number, before, directory.incarnation("k")))

    await directory.turn("k", work)
    assert await directory.turn("k", number) == 2
    assert got == [(1, 1, 2)]


async def test_a_reset_during_activation_activates_again(boxes) -> None:
    directory, got = directory_of(boxes), []
    boxes.hold = anyio.Event()

    async def ask() -> None:
        got.append(await directory.turn("k", number))

    async with create_task_group() as tasks:
        tasks.start_soon(ask)
        await wait_all_tasks_blocked()
        directory.reset("k", "what it is reading has changed")
        boxes.hold.set()
    assert got == [2]


async def test_incarnation_numbers_never_come_back(boxes) -> None:
    directory = directory_of(boxes, cells_max=2)
    seen: dict[str, dict[int, Any]] = {}
    for step in range(60):
        key = "abc"[step % 3]  # two fit: asks passivate each other
        made = await directory.turn(key, number)
        seen.setdefault(key, {}).setdefault(made, directory.incarnation(key))
        if step % 4 == 0:
            directory.reset(key, "test")
        if step % 7 == 0:
            directory.reset_all("test")
    for numbers in seen.values():
        given = list(numbers.values())
        assert len(given) > 10
        assert given == sorted(set(given))


async def test_reset_all_forgets_idle_and_running_cells_alike(boxes) -> None:
    directory = directory_of(boxes)
    occupied = Occupied(directory, "busy")
    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        await directory.turn("idle", number)
        before = {key: incarnation_of(directory, key) for key in ("busy", "idle")}
        directory.reset_all("the backend was reopened")
        tasks.start_soon(directory.turn, "busy", number)
        await wait_all_tasks_blocked()
        occupied.free.set()
    assert boxes.made["busy"] == 2
    assert await directory.turn("idle", number) == 2
    for key, number_before in before.items():
        assert incarnation_of(directory, key) > number_before
    assert directory.statistics().counters.resets == 2
    assert directory.statistics().activated_now == 2


# --- activation limit ----------------------------------------------------------------------


async def test_a_cold_start_does_not_stampede(boxes) -> None:
    directory = directory_of(boxes, activations_max=3)
    boxes.hold = anyio.Event()
    async with create_task_group() as tasks:
        for key in range(20):
            tasks.start_soon(directory.turn, str(key), number)
        await wait_all_tasks_blocked()
        assert boxes.at_once == 3
        assert directory.statistics().activations_waiting_now == 17
        boxes.hold.set()
    assert boxes.at_once_peak == 3
    assert len(directory) == 20


async def test_a_cancelled_activation_gives_its_permit_back(boxes) -> None:
    directory = directory_of(boxes, activations_max=1)
    boxes.hold = anyio.Event()
    async with create_task_group() as tasks:
        for key in range(3):
            tasks.start_soon(directory.turn, str(key), number)
        await wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    boxes.hold = None
    assert await directory.turn("after", number) == 1


async def test_an_activation_that_asks_for_another_does_not_wait_for_its_own_permit() -> None:
    async def activate(key: str) -> str:
        return key if key == "leaf" else await directory.turn("leaf", same) + "!"

    async def same(state: str) -> str:
        return state

    directory = Directory("d", activate, limits=DirectoryLimits(activations_max=1, turn_wait_s=1))
    assert await directory.turn("root", same) == "leaf!"


# --- fairness ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["turn", "live", "refused"])
async def test_others_run_at_least_every_64_turns_that_never_suspend(boxes, way) -> None:
    directory = directory_of(boxes, crashes_max=1, rest_s_min=1000.0)
    await directory.turn("k", number)
    if way == "refused":
        directory.reset("k", ValueError())
    gaps, turns, stop = [], 0, False

    async def bystander() -> None:
        nonlocal turns
        while not stop:
            gaps.append(turns)
            turns = 0
            await checkpoint()

    async with create_task_group() as tasks:
        tasks.start_soon(bystander)
        await checkpoint()
        for _ in range(1000):
            turns += 1
            if way == "live":
                await directory.fairness()
                assert directory.live("k") is not None
            else:
                await outcome_of(directory.turn, "k", number)
        stop = True
    assert max(gaps) <= 2 * 64  # trio may order one batch the other way round
    assert len(gaps) >= 8


# --- re-entrance ---------------------------------------------------------------------------


async def test_a_turn_that_asks_its_own_key_is_refused_with_the_cycle(boxes) -> None:
    directory = directory_of(boxes)

    async def work(box: Box) -> None:
        await directory.turn("a", number)

    for ask in (directory.turn, directory.control):
        with pytest.raises(Deadlock) as refused:
            await ask("a", work)
        assert refused.value.fields["cycle"] == ["d/a", "d/a"]
    assert directory.statistics().counters.deadlocks_refused == 2
    assert await directory.turn("a", number) == 1


async def test_a_cycle_through_another_directory_is_named(boxes) -> None:
    one, two = directory_of(boxes, "one"), directory_of(boxes, "two")

    async def outer(box: Box) -> None:
        await two.turn("b", inner)

    async def inner(box: Box) -> None:
        await one.turn("a", number)

    with pytest.raises(Deadlock, match=r"two/b -> one/a -> two/b"):
        await one.turn("a", outer)


async def test_a_cycle_between_independent_requests_is_refused_as_it_forms(boxes) -> None:
    directory, got = directory_of(boxes), []
    inside = 0
    all_inside = anyio.Event()

    async def request(own: str, other: str) -> None:
        async def work(box: Box) -> None:
            nonlocal inside
            inside += 1
            if inside == 3:
                all_inside.set()
            await all_inside.wait()
            await directory.turn(other, number)

        got.append(await outcome_of(directory.turn, own, work))

    with anyio.fail_after(5):
        async with create_task_group() as tasks:
            for own, other in ("ab", "bc", "ca"):
                tasks.start_soon(request, own, other)
    assert got.count(Deadlock) == 1
    assert got.count(None) == 2


async def test_nesting_without_a_cycle_is_no_deadlock(boxes) -> None:
    directory = directory_of(boxes)

    async def outer(box: Box) -> list[int]:
        return [await directory.turn("b", number), await directory.turn("b", number)]

    async def both(box: Box) -> None:
        async with create_task_group() as tasks:
            tasks.start_soon(directory.turn, "b", number)
            tasks.start_soon(directory.turn, "c", number)

    assert await directory.turn("a", outer) == [1, 1]
    await directory.turn("a", both)
    assert directory.statistics().counters.deadlocks_refused == 0


async def test_a_task_that_outlives_its_turn_may_wait_for_the_key_again(boxes) -> None:
    directory = directory_of(boxes)
    occupied = Occupied(directory, "a")
    got: list[object] = []
    async with create_task_group() as tasks:

        async def later() -> None:
            await over.wait()
            got.append(await outcome_of(directory.turn, "a", number))

        async def work(box: Box) -> None:
            tasks.start_soon(later)

        over = anyio.Event()
        await directory.turn("a", work)
        await tasks.start(occupied.hold)  # the key belongs to somebody else now
        over.set()
        await wait_all_tasks_blocked()
        occupied.free.set()
    assert got == [1]


async def test_an_ask_that_is_over_closes_no_cycle(boxes) -> None:
    directory = directory_of(boxes)
    asked, go_on = anyio.Event(), anyio.Event()
    got: list[object] = []

    async def first(box: Box) -> None:
        await directory.turn("b", number)
        asked.set()
        await go_on.wait()

    async def second(box: Box) -> None:
        got.append(await outcome_of(directory.turn, "a", number))

    async with create_task_group() as tasks:
        tasks.start_soon(directory.turn, "a", first)
        await asked.wait()
        tasks.start_soon(directory.turn, "b", second)
        await wait_all_tasks_blocked()
        go_on.set()
    assert got == [1]


async def test_a_snapshot_tells_what_a_turn_is_asking(boxes) -> None:
    directory = directory_of(boxes)
    occupied = Occupied(directory, "b")

    async def work(box: Box) -> None:
        await directory.turn("b", number)

    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        tasks.start_soon(directory.turn, "a", work)
        await wait_all_tasks_blocked()
        snapshot = directory.snapshot("a")
        assert snapshot is not None
        assert snapshot.asking == ("d/b",)
        occupied.free.set()
    snapshot = directory.snapshot("a")
    assert snapshot is not None
    assert (snapshot.running, snapshot.asking, snapshot.activated) == (False, (), True)
    assert directory.snapshot("never") is None


# --- drain ---------------------------------------------------------------------------------


@virtual_time
async def test_drain_answers_everybody_and_passivates_everything(boxes) -> None:
    passivated = []
    directory = Directory(
        "d",
        boxes.activate,
        may_passivate=lambda box: False,
        on_passivate=lambda key, box: passivated.append(key),
    )
    got: list[object] = []
    for key in range(600):
        await directory.turn(str(key), number)

    async def slow(box: Box) -> str:
        await anyio.sleep(2)
        return "slow"

    async def nested(box: Box) -> object:
        await anyio.sleep(1)
        return await directory.turn("other", number)

    async def ask(key: str, work) -> None:
        got.append(await outcome_of(directory.turn, key, work))

    async with create_task_group() as tasks:
        for name, work in [("k", slow), ("k", number), ("m", nested)]:
            tasks.start_soon(ask, name, work)
            await wait_all_tasks_blocked()
        tasks.start_soon(directory.drain, anyio.current_time() + 10.0)
        await wait_all_tasks_blocked()
        assert directory.live("0") is None
        with pytest.raises(Draining):
            await directory.turn("0", number)
        assert await directory.control("0", number) == 1
    assert sorted(map(str, got)) == ["1", "1", "slow"]
    assert len(passivated) == 603
    assert len(directory) == 0
    assert directory.statistics().counters.passivated == {"limit": 0, "idle": 0, "drain": 603}
    with pytest.raises(Draining):
        await directory.control("0", number)


@virtual_time
async def test_at_the_deadline_of_a_drain_those_in_line_are_refused(boxes) -> None:
    directory, got = directory_of(boxes, turn_wait_s=1000.0), []
    occupied = Occupied(directory, "k")

    async def ask() -> None:
        got.append(await outcome_of(directory.turn, "k", number))

    async with create_task_group() as tasks:
        await tasks.start(occupied.hold)
        tasks.start_soon(ask)
        await wait_all_tasks_blocked()
        began_s = anyio.current_time()
        await directory.drain(began_s + 3)
        assert anyio.current_time() - began_s == pytest.approx(3)
        await wait_all_tasks_blocked()
        assert got == [Draining]
        assert directory.statistics().running_now == 1
        occupied.free.set()
    assert directory.statistics().counters.waiting == 0
