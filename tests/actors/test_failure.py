"""A backend that fails or refuses: who is told what, and that everything goes on."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import EventspineError, StoreFull
from tests.actors.faulty import CONTEXT, event, everything, numbers

pytestmark = pytest.mark.anyio


async def until_stored(spine, stream: str, new: dict[str, Any]) -> None:
    """Send again with the same id, as a client does."""
    with anyio.fail_after(10):
        while True:
            try:
                await spine.append(stream, new, CONTEXT)
            except EventspineError as error:
                if error.outcome == "refused":
                    raise
                await anyio.sleep(0.01)
            else:
                return


@pytest.mark.parametrize("stored", [False, True])
async def test_a_failed_commit_is_unknown_and_what_waited_never_ran(faulty, stored) -> None:
    async with faulty() as (spine, faults):
        await spine.append("s", event(0), CONTEXT)
        outcomes: dict[int, str] = {}

        async def send(n: int) -> None:
            try:
                await spine.append("s", event(n, f"id {n}"), CONTEXT)
                outcomes[n] = "stored"
            except EventspineError as error:
                outcomes[n] = error.code

        await spine.append("s", event(1, "id 1"), CONTEXT)
        faults.hold()
        faults.error, faults.error_after_storing = OSError(5, "broken"), stored
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, 2)
            await faults.held()
            for n in (3, 4, 5):
                tasks.start_soon(send, n)
            await anyio.wait_all_tasks_blocked()
            faults.release()
        assert outcomes == {2: "outcome_unknown"} | dict.fromkeys((3, 4, 5), "store_unavailable")
        for n in (2, 3, 4, 5):
            await until_stored(spine, "s", event(n, f"id {n}"))
        assert numbers(await everything(spine, "s")) == [0, 1, 2, 3, 4, 5]
        assert faults.opened == 2


async def test_a_failure_spends_no_restart_budget(faulty) -> None:
    async with faulty() as (spine, faults):
        for n in range(4):
            faults.error = OSError(5, "broken")
            with pytest.raises(EventspineError):
                await spine.append("s", event(n, f"id {n}"), CONTEXT)
            await until_stored(spine, "s", event(n, f"id {n}"))
        children = {child.name: child for child in spine.tree().children}
        backend = children["backend memory:default"].below
        assert backend.budget_left == backend.intensity
        assert numbers(await everything(spine, "s")) == list(range(4))


async def test_readers_go_on_after_the_backend_was_opened_again(faulty) -> None:
    async with faulty() as (spine, faults):
        await spine.append("s", event(0), CONTEXT)
        seen: list[int] = []

        async def reader() -> None:
            async with await spine.subscribe("s", CONTEXT) as subscription:
                async for piece in subscription:
                    seen.extend(numbers(piece.lines))
                assert subscription.ended == "closed"

        with anyio.fail_after(15):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reader)
                await anyio.wait_all_tasks_blocked()
                for n in range(1, 4):
                    faults.error = OSError(5, "broken")
                    with pytest.raises(EventspineError):
                        await spine.append("s", event(n, f"id {n}"), CONTEXT)
                    await until_stored(spine, "s", event(n, f"id {n}"))
                await spine.close_stream("s", CONTEXT)
        assert seen == [0, 1, 2, 3]


async def test_after_a_refusal_appends_work_and_sequences_stay_dense(faulty) -> None:
    async with faulty() as (spine, faults):
        await spine.append("s", event(0), CONTEXT)
        outcomes: list[str] = []

        async def send(n: int) -> None:
            try:
                await spine.append("s", event(n), CONTEXT)
                outcomes.append("stored")
            except EventspineError as error:
                outcomes.append(error.code)

        faults.hold()
        faults.error = StoreFull("no space", retry_after_s=5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, 1)
            await faults.held()
            for n in (2, 3):
                tasks.start_soon(send, n)
            await anyio.wait_all_tasks_blocked()
            faults.release()
        assert outcomes == ["store_full"] * 3
        got = await spine.append("s", event(4), CONTEXT)
        assert got.cursors == [Cursor(1, 2)]
        assert numbers(await everything(spine, "s")) == [0, 4]
        assert faults.opened == 1


async def test_an_append_that_looks_up_ids_during_a_refusal_leaves_no_gap(faulty) -> None:
    async with faulty() as (spine, faults):
        await spine.append("s", event(0), CONTEXT)
        outcomes: list[str] = []

        async def send(new: dict[str, Any]) -> None:
            try:
                await spine.append("s", new, CONTEXT)
                outcomes.append("stored")
            except EventspineError as error:
                outcomes.append(error.code)

        faults.ids_gate = anyio.Event()
        faults.hold()
        faults.error = StoreFull("no space", retry_after_s=5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, event(1))
            await faults.held()
            tasks.start_soon(send, event(2, "looked up"))  # waits for the index of ids
            await anyio.wait_all_tasks_blocked()
            faults.release()
            while outcomes != ["store_full"]:
                await checkpoint()
            faults.ids_gate.set()
        faults.ids_gate = None
        await until_stored(spine, "s", event(2, "looked up"))
        await spine.append("s", event(3), CONTEXT)
        lines = await everything(spine, "s")
        assert numbers(lines) == [2, 3] or numbers(lines) == [0, 2, 3]
        assert [json.loads(line)["sequence"] for line in lines] == [*range(1, len(lines) + 1)]
        head = await spine.head("s", CONTEXT)
        assert head.cursor == Cursor(1, len(lines))


async def test_a_failed_close_leaves_the_stream_open(faulty) -> None:
    async with faulty() as (spine, faults):
        await spine.append("s", event(0, "a"), CONTEXT)
        faults.error = StoreFull("no space", retry_after_s=5)
        with pytest.raises(StoreFull):
            await spine.close_stream("s", CONTEXT)
        assert not (await spine.head("s", CONTEXT)).closed
        await spine.append("s", event(1), CONTEXT)
        assert numbers(await everything(spine, "s")) == [0, 1]


async def test_passivation_under_load_loses_nothing(faulty) -> None:
    async with faulty(cells_max=4) as (spine, _):

        async def write(stream: str) -> None:
            for n in range(10):
                await until_stored(spine, stream, event(n, f"id {n}"))

        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(write, f"s{n}")
        for n in range(50):
            lines = await everything(spine, f"s{n}")
            assert numbers(lines) == list(range(10))


async def test_a_cancelled_append_is_stored_or_not_and_harms_nobody(faulty) -> None:
    async with faulty() as (spine, faults):
        faults.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(spine.append, "s", event(0, "a"), CONTEXT)
            await faults.held()
            tasks.start_soon(spine.append, "s", event(1, "b"), CONTEXT)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
            faults.release()
        await until_stored(spine, "s", event(2, "c"))
        assert numbers(await everything(spine, "s")) == [0, 1, 2]
