"""Ids, expectations, order: what an append promises."""

from __future__ import annotations

import json
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest

from eventspine.bootstrap import open_spine
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import (
    Draining,
    EventConflict,
    EventspineError,
    Overloaded,
    PreconditionFailed,
    StreamClosed,
    StreamNotFound,
)
from tests.actors.faulty import CONTEXT, event, everything, numbers

pytestmark = pytest.mark.anyio


async def test_sequences_are_dense_and_start_at_one(spine) -> None:
    first = await spine.append("s", event(0), CONTEXT)
    more = await spine.append_batch("s", [event(1), event(2)], CONTEXT)
    assert [*first.cursors, *more.cursors] == [Cursor(1, n) for n in (1, 2, 3)]
    assert more.head == Cursor(1, 3)
    assert more.duplicates == 0
    assert numbers(await everything(spine, "s")) == [0, 1, 2]


async def test_the_same_id_and_body_is_answered_with_the_first_answer(spine) -> None:
    first = await spine.append("s", event(1, "a"), CONTEXT)
    await spine.append("s", event(2), CONTEXT)
    again = await spine.append("s", event(1, "a"), CONTEXT)
    assert again.lines == first.lines
    assert again.cursors == first.cursors
    assert again.duplicates == 1
    assert again.head == Cursor(1, 2)


async def test_an_id_the_product_made_is_an_idempotency_key_too(spine) -> None:
    first = await spine.append("s", event(1), CONTEXT)
    again = await spine.append("s", event(1, first.event_id), CONTEXT)
    assert again.lines == first.lines
    other_stream = await spine.append("other", event(1, first.event_id), CONTEXT)
    assert other_stream.duplicates == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [({"n": 1}, {"n": 2}), ({"n": 1}, {"n": True}), ({"n": 1}, {"n": "1"}), ({"n": None}, {})],
)
async def test_the_same_id_with_another_body_is_a_conflict(spine, first, second) -> None:
    stored = await spine.append(
        "s", {"event_type": "t", "payload": first, "event_id": "a"}, CONTEXT
    )
    with pytest.raises(EventConflict) as caught:
        await spine.append("s", {"event_type": "t", "payload": second, "event_id": "a"}, CONTEXT)
    assert caught.value.fields["cursor"] == str(stored.cursors[0])
    with pytest.raises(EventConflict):
        await spine.append("s", {"event_type": "other", "payload": first, "event_id": "a"}, CONTEXT)
    assert len(await everything(spine, "s")) == 1


async def test_the_order_of_keys_makes_no_other_body(spine) -> None:
    body = b'{"event_type":"t","event_id":"a","payload":%b}'
    first = await spine.append_json("s", body % b'{"a":1,"b":[{}]}', CONTEXT)
    again = await spine.append_json("s", body % b'{ "b":[ {} ],\n "a":1}', CONTEXT)
    assert again.lines == first.lines


async def test_a_deep_payload_sent_twice_is_no_crash(spine) -> None:
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    body = b'{"event_type":"t","event_id":"a","payload":%b}'
    await spine.append_json("s", body % deep, CONTEXT)
    assert (await spine.append_json("s", body % deep, CONTEXT)).duplicates == 1
    with suppress(EventConflict):  # too deep to be compared, or the same; never a crash
        await spine.append_json("s", body % (deep[:-1] + b" }"), CONTEXT)


async def test_duplicates_within_one_batch_are_stored_once(spine) -> None:
    got = await spine.append_batch(
        "s", [event(1, "a"), event(2, "b"), event(1, "a"), event(3)], CONTEXT
    )
    assert list(got.sequences) == [1, 2, 1, 3]
    assert got.duplicates == 1
    with pytest.raises(EventConflict):
        await spine.append_batch("s", [event(4, "c"), event(5, "c")], CONTEXT)
    assert numbers(await everything(spine, "s")) == [1, 2, 3]


async def test_a_batch_with_one_conflict_stores_nothing(spine) -> None:
    await spine.append("s", event(1, "a"), CONTEXT)
    with pytest.raises(EventConflict):
        await spine.append_batch("s", [event(2), event(3, "a")], CONTEXT)
    assert numbers(await everything(spine, "s")) == [1]


async def test_concurrent_duplicates_store_one(spine) -> None:
    answers = []

    async def send() -> None:
        answers.append(await spine.append("s", event(7, "same"), CONTEXT))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(send)
    assert numbers(await everything(spine, "s")) == [7]
    assert {bytes(answer.lines[0]) for answer in answers} == set(await everything(spine, "s"))
    assert sum(answer.duplicates for answer in answers) == 19


async def test_a_duplicate_is_answered_only_after_the_first_is_durable(faulty) -> None:
    async with faulty() as (spine, faults):
        await spine.append("s", event(0, "warm"), CONTEXT)
        faults.hold()
        answered = []

        async def send(name: str) -> None:
            await spine.append("s", event(1, "a"), CONTEXT)
            answered.append(name)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, "first")
            await faults.held()
            tasks.start_soon(send, "second")
            await anyio.wait_all_tasks_blocked()
            assert answered == []
            faults.release()
        assert sorted(answered) == ["first", "second"]


async def test_a_duplicate_of_an_event_that_fails_is_not_answered_as_stored(faulty) -> None:
    async with faulty() as (spine, faults):
        await spine.append("s", event(0, "warm"), CONTEXT)
        faults.hold()
        faults.error = OSError(5, "broken")
        outcomes = []

        async def send() -> None:
            try:
                await spine.append("s", event(1, "a"), CONTEXT)
            except EventspineError as error:
                outcomes.append(error.code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await faults.held()
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            faults.release()
        assert outcomes == ["outcome_unknown", "outcome_unknown"]


async def test_a_closed_stream_answers_known_ids_and_refuses_new_events(spine) -> None:
    first = await spine.append("s", event(1, "a"), CONTEXT)
    head = await spine.close_stream("s", CONTEXT)
    assert head.closed
    assert (await spine.append("s", event(1, "a"), CONTEXT)).lines == first.lines
    with pytest.raises(StreamClosed) as caught:
        await spine.append("s", event(2), CONTEXT)
    assert caught.value.fields["cursor"] == str(first.head)
    assert await spine.close_stream("s", CONTEXT) == head


async def test_expected_positions(spine) -> None:
    first = await spine.append("s", event(1), CONTEXT, expected="0")
    second = await spine.append("s", event(2), CONTEXT, expected=str(first.head))
    for stale in ("0", str(first.head), str(Cursor(2, 2)), str(Cursor(1, 3))):
        with pytest.raises(PreconditionFailed) as caught:
            await spine.append("s", event(3), CONTEXT, expected=stale)
        assert caught.value.fields["current"] == str(second.head)
    assert numbers(await everything(spine, "s")) == [1, 2]


async def test_a_duplicate_is_answered_whatever_position_is_expected(spine) -> None:
    first = await spine.append("s", event(1, "a"), CONTEXT, expected="0")
    again = await spine.append("s", event(1, "a"), CONTEXT, expected="0")
    assert again.lines == first.lines


async def test_of_two_appends_that_expect_the_same_position_one_wins(spine) -> None:
    outcomes = []

    async def send(n: int) -> None:
        try:
            await spine.append("s", event(n), CONTEXT, expected="0")
            outcomes.append("stored")
        except PreconditionFailed:
            outcomes.append("refused")

    async with anyio.create_task_group() as tasks:
        for n in range(10):
            tasks.start_soon(send, n)
    assert sorted(outcomes) == ["refused"] * 9 + ["stored"]


async def test_a_deleted_stream_begins_again_in_a_new_epoch(spine) -> None:
    await spine.append("s", event(1, "a"), CONTEXT)
    await spine.delete_stream("s", CONTEXT)
    assert (await spine.head("s", CONTEXT)).cursor == Cursor(2, 0)
    with pytest.raises(StreamNotFound):
        await spine.delete_stream("s", CONTEXT)
    again = await spine.append("s", event(2, "a"), CONTEXT, expected="0")
    assert again.cursors == [Cursor(2, 1)]
    assert again.duplicates == 0


async def test_the_writer_commits_in_the_order_decided_and_in_groups(faulty) -> None:
    async with faulty() as (spine, faults):
        faults.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(spine.append, "s0", event(0), CONTEXT)
            await faults.held()
            for n in range(50):
                tasks.start_soon(spine.append, f"s{n % 3}", event(n), CONTEXT)
            await anyio.wait_all_tasks_blocked()
            faults.release()
        assert [len(batch) for batch in faults.batches] == [1, 50]
        for n in range(3):
            lines = await everything(spine, f"s{n}")
            assert [json.loads(line)["sequence"] for line in lines] == list(
                range(1, len(lines) + 1)
            )


async def test_too_many_bytes_waiting_are_refused_and_change_nothing(faulty) -> None:
    async with faulty(commit_bytes_waiting_max=2048) as (spine, faults):
        faults.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(spine.append, "a", event("x" * 1900), CONTEXT)
            await faults.held()
            with pytest.raises(Overloaded) as caught:
                await spine.append("b", event("x" * 300), CONTEXT)
            assert caught.value.fields["limit"] == "commit_bytes_waiting_max"
            faults.release()
        got = await spine.append("b", event(1), CONTEXT)
        assert got.cursors == [Cursor(1, 1)]


async def test_a_refused_first_append_does_not_decide_the_mode_of_a_stream(faulty) -> None:
    async with faulty(commit_bytes_waiting_max=2048) as (spine, faults):
        host = spine._hosts[0]
        faults.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(spine.append, "a", event("x" * 1900), CONTEXT)
            await faults.held()
            with pytest.raises(Overloaded):
                await spine.append("b", event("x" * 300), CONTEXT)
            faults.release()
        assert (await host.actor("event_stream/t/e/_/b")).mode is None


@pytest.mark.parametrize("further", [40, pytest.param(5_000, marks=pytest.mark.slow)])
async def test_ids_are_known_after_a_restart_and_many_further_ids(tmp_path, further) -> None:
    async with open_spine(tmp_path, lab=True) as spine:
        lab = CONTEXT.model_copy(update={"tenant_id": "t_demo", "env": "dev"})
        first = await spine.append("s", event(-1, "the one"), lab)
        for start in range(0, further, 500):
            batch = [event(n, f"id {n}") for n in range(start, min(start + 500, further))]
            await spine.append_batch("s", batch, lab)
        assert (await spine.append("s", event(-1, "the one"), lab)).lines == first.lines
    async with open_spine(tmp_path) as spine:
        assert (await spine.append("s", event(-1, "the one"), lab)).lines == first.lines
        for n in range(0, further, further // 20):
            assert (await spine.append("s", event(n, f"id {n}"), lab)).duplicates == 1
        with pytest.raises(EventConflict):
            await spine.append("s", event(-2, "the one"), lab)
        assert (await spine.append("s", event(0, "new"), lab)).cursors == [Cursor(1, further + 2)]


@pytest.mark.parametrize("batch", [False, True])
async def test_a_caller_that_tries_again_at_once_lets_others_run(spine, batch: bool) -> None:
    await spine.append("s", event(1), CONTEXT)
    spine.drain()
    turns: list[int] = []

    async def other() -> None:
        for n in range(3):
            turns.append(n)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        for _ in range(10):
            one, two = spine.append, spine.append_batch
            call = two("s", [event(1)], CONTEXT) if batch else one("s", event(2), CONTEXT)
            with pytest.raises(Draining):
                await call
        assert turns == [0, 1, 2]
