"""Which cells go, when, and that nobody else notices."""

from __future__ import annotations

import random
import tracemalloc

import anyio
import pytest
from anyio import create_task_group, wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from eventspine.contracts.errors import Overloaded
from eventspine.runtime.cell import Cell
from eventspine.runtime.directory import Directory
from eventspine.runtime.limits import DirectoryLimits
from eventspine.runtime.passivation import Recency
from eventspine.testing.virtual_time import VIRTUAL

pytestmark = pytest.mark.anyio
virtual_time = pytest.mark.parametrize("anyio_backend", VIRTUAL, indirect=True)


async def activate(key: str) -> list[str]:
    return [key]


async def same(state: list[str]) -> list[str]:
    return state


def directory_of(gone=None, may_passivate=None, **limits) -> Directory[list[str]]:
    return Directory(
        "d",
        activate,
        may_passivate=may_passivate,
        on_passivate=gone,
        limits=DirectoryLimits(**limits),
        rng=random.Random(3),
    )


async def test_the_limit_passivates_the_least_recently_used() -> None:
    gone: list[str] = []
    directory = directory_of(lambda key, state: gone.append(key), cells_max=3)
    for key in "abc":
        await directory.turn(key, same)
    directory.live("a")
    await directory.turn("b", same)
    await directory.turn("d", same)
    assert gone == ["c"]
    assert len(directory) == 3
    assert directory.statistics().counters.passivated["limit"] == 1


async def test_neither_a_running_cell_nor_one_that_says_not_now_is_passivated() -> None:
    gone: list[str] = []
    directory = directory_of(
        lambda key, state: gone.append(key), lambda state: state != ["pinned"], cells_max=3
    )
    release = anyio.Event()

    async def hold(state: list[str]) -> None:
        await release.wait()

    async with create_task_group() as tasks:
        tasks.start_soon(directory.turn, "running", hold)
        await wait_all_tasks_blocked()
        for key in ("pinned", "x", "y", "z"):
            await directory.turn(key, same)
        release.set()
    assert gone == ["x", "y"]


async def test_when_nobody_can_go_a_new_key_is_refused_and_a_known_one_is_not() -> None:
    directory = directory_of(may_passivate=lambda state: False, cells_max=2)
    for key in "ab":
        await directory.turn(key, same)
    with pytest.raises(Overloaded) as refused:
        await directory.turn("c", same)
    assert refused.value.fields["limit"] == "cells_max"
    assert await directory.turn("a", same) == ["a"]
    assert await directory.control("c", same) == ["c"]


async def test_many_cells_stay_within_the_limit_and_the_hot_ones_stay() -> None:
    directory = directory_of(cells_max=500)
    hot = [f"hot{i}" for i in range(20)]
    for number in range(4000):
        await directory.turn(f"cold{number}", same)
        for key in hot[number % 2 :: 2]:
            if directory.live(key) is None:
                await directory.turn(key, same)
    assert len(directory) <= 500
    assert sum(directory.live(key) is not None for key in hot) == len(hot)
    made = directory.statistics().counters.activations
    assert made < 4000 + 2 * len(hot), "hot keys were passivated again and again"


async def test_a_crash_of_a_callback_neither_reaches_a_caller_nor_keeps_the_cell(caplog) -> None:
    def crash(*_: object) -> bool:
        raise ValueError("callback")

    directory = directory_of(crash, cells_max=1)
    for key in "ab":
        assert await directory.turn(key, same) == [key]
    assert len(directory) == 1
    pinned = directory_of(None, crash, cells_max=1)
    await pinned.turn("a", same)
    with pytest.raises(Overloaded):
        await pinned.turn("b", same)
    assert "callback" in caplog.text
    assert pinned.statistics().counters.crashes == 1


@virtual_time
async def test_a_cell_goes_after_its_idle_time_and_not_before() -> None:
    gone: dict[str, float] = {}
    began_s = anyio.current_time()
    directory = directory_of(
        lambda key, state: gone.setdefault(key, anyio.current_time() - began_s), idle_s_max=100.0
    )
    async with create_task_group() as tasks:
        await tasks.start(lambda *, task_status: directory.passivate_idle(task_status=task_status))
        await directory.turn("idle", same)
        await directory.turn("used", same)
        for _ in range(30):
            await anyio.sleep(10)
            assert directory.live("used") is not None
        assert list(gone) == ["idle"]
        assert 100 <= gone["idle"] <= 125.1
        await anyio.sleep(130)
        assert 400 <= gone["used"] <= 425.1
        tasks.cancel_scope.cancel()
    assert directory.statistics().counters.passivated["idle"] == 2
    assert len(directory) == 0


@virtual_time
async def test_an_idle_sweep_of_many_cells_lets_others_run_in_between() -> None:
    begun = anyio.Event()
    directory = directory_of(lambda key, state: begun.set(), idle_s_max=100.0)
    for key in range(5000):
        await directory.turn(str(key), same)
    sizes = set()
    async with create_task_group() as tasks:
        await tasks.start(lambda *, task_status: directory.passivate_idle(task_status=task_status))
        await begun.wait()
        while len(directory):
            sizes.add(len(directory))
            await checkpoint()
        tasks.cancel_scope.cancel()
    assert len(sizes) >= 8  # 20 slices of 256; trio may run two of them in a row


@pytest.mark.parametrize("seed", range(5))
def test_places_stay_true_through_random_adding_and_removing(seed) -> None:
    rng = random.Random(seed)
    recency: Recency[None] = Recency(random.Random(seed))
    cells: list[Cell[None]] = []
    for step in range(2000):
        if cells and rng.random() < 0.45:
            recency.remove(cells.pop(rng.randrange(len(cells))))
        else:
            cells.append(Cell(str(step), 1, rng.randrange(1000)))
            recency.add(cells[-1])
    seen = [cell for part in recency.slices(7) for cell in part]
    assert sorted(map(id, seen)) == sorted(map(id, cells))
    oldest = recency.oldest(lambda cell: True)
    assert oldest is not None
    older = sum(cell.touched < oldest.touched for cell in cells)
    assert older < len(cells) * 0.6


@pytest.mark.parametrize("remove", ["slice", "earlier", "later"])
def test_slices_see_every_cell_that_stays_although_others_go(remove) -> None:
    recency: Recency[None] = Recency(random.Random(0))
    cells: list[Cell[None]] = [Cell(str(place), 1, 0) for place in range(100)]
    for cell in cells:
        recency.add(cell)
    seen: set[str] = set()
    doomed = {"slice": cells[90:95], "earlier": cells[:40], "later": cells[95:]}[remove]
    for part in recency.slices(10):
        seen.update(cell.key for cell in part)
        for cell in doomed:
            recency.remove(cell)
        doomed = []
    assert seen >= {cell.key for cell in cells if cell.place >= 0}


async def test_an_idle_key_costs_at_most_400_bytes() -> None:
    directory = directory_of()
    keys = 3_000
    state: list[str] = []

    async def trivial(key: str) -> list[str]:
        return state

    directory._activate = trivial
    own = [tracemalloc.Filter(True, file) for file in ("*/eventspine/runtime/*", __file__)]
    tracemalloc.start()
    try:
        for key in range(keys):
            await directory.turn(f"some/key/{key:08d}", same)
        taken = tracemalloc.take_snapshot().filter_traces(own)  # not what other threads hold
    finally:
        tracemalloc.stop()
    used = sum(trace.size for trace in taken.traces)
    assert 200 <= used / keys <= 400


async def test_whoever_is_reset_is_told_with_its_state() -> None:
    told: list[tuple[str, list[str]]] = []
    directory: Directory[list[str]] = Directory(
        "d", activate, on_reset=lambda key, state: told.append((key, state))
    )
    for key in "abc":
        await directory.turn(key, same)
    directory.reset("b", "one")
    assert told == [("b", ["b"])]
    directory.reset_all("the rest")
    assert sorted(told) == [("a", ["a"]), ("b", ["b"]), ("c", ["c"])]
    directory.reset_all("nothing is left")
    assert len(told) == 3
