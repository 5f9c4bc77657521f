"""A spine with the compiled module and one without give the same answers, and the same errors."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventspine.bootstrap import open_spine
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import EventspineError, StoreFull
from eventspine.contracts.limits import Limits
from eventspine.contracts.settings import AuditSettings, RoutingSettings, Settings
from eventspine.services.spine import Spine
from tests.actors.faulty import CONTEXT, Faults, event, everything, memory_route, numbers

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("core")]
OTHER = RequestContext(tenant_id="t", env="e", mode="other")
_VARYING = re.compile(r'"ts":"[^"]{24}"|[0-9a-f]{8}-[0-9a-f-]{27}')

Open = Callable[..., Any]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens `async with opened(native=…, **limits) as (spine, faults)`, each on its own root."""

    @asynccontextmanager
    async def open_one(native: bool, **limits: Any) -> AsyncIterator[tuple[Spine, Faults]]:
        faults = Faults()
        monkeypatch.setattr("eventspine.bootstrap.backends.MemoryEventStreamStore", faults.store)
        settings = Settings(
            limits=Limits(**limits),
            native=native,
            routing=RoutingSettings(lab_backend_modes=("other",)),
            audit=AuditSettings(lookups=False),  # its commits would come in between
        )
        root = tmp_path / f"native-{native}"
        root.mkdir()
        async with open_spine(root, settings=settings) as spine:
            await spine.routes.create(memory_route())
            await spine.routes.create(memory_route(OTHER))
            await spine.head("warm up", CONTEXT)
            await spine.head("warm up", OTHER)
            await spine.audit.queue.settled()
            yield spine, faults

    return open_one


class Told:
    """What was answered, but for what differs each time."""

    def __init__(self, spine: Spine) -> None:
        self.spine = spine
        self.all: list[Any] = []

    async def ask(self, stream: str, *events: Any, context: Any = CONTEXT, **more: Any) -> Any:
        spine = self.spine
        try:
            if len(events) == 1:
                answer = await spine.append(stream, events[0], context, **more)
            else:
                answer = await spine.append_batch(stream, events, context, **more)
        except EventspineError as error:
            fields = _VARYING.sub("…", json.dumps(error.fields, sort_keys=True, default=str))
            text = _VARYING.sub("…", str(error))
            self.all.append((type(error).__name__, text, fields))
            return None
        lines = [_VARYING.sub("…", line.decode()) for line in answer.lines]
        self.all.append((lines, [*answer.sequences], answer.head, answer.duplicates, type(answer)))
        return answer


def errors_in(told: list[Any]) -> list[str]:
    return [one[0] for one in told if isinstance(one, tuple) and isinstance(one[0], str)]


Story = Callable[[Told, Faults], Awaitable[None]]


async def compare(opened: Open, story: Story, **limits: Any) -> list[Any]:
    found = []
    for native in (True, False):
        async with opened(native, **limits) as (spine, faults):
            told = Told(spine)
            host = spine._hosts[0]
            way = host.short
            assert (way is not None) == native
            await story(told, faults)
            found.append(told.all)
            assert way is None or way.taken > 0, "nothing went the compiled way"
            assert host.writer is None or host.writer._bytes_waiting == 0
    assert found[0] == found[1]
    return found[0]


async def test_plain_appends(opened: Open) -> None:
    async def story(told: Told, _: Faults) -> None:
        for n in range(5):
            await told.ask("s", event(n))
        await told.ask("s", event({"deep": [None, 1.5, "é😀", 2**63, -(2**70)]}))
        await told.ask("s", event(float("nan")))
        await told.ask("s", {"event_type": "", "payload": {}})
        await told.ask("s", {"event_type": "x" * 256, "payload": {}})
        await told.ask("s", {"event_type": "t", "payload": [1]})
        await told.ask("s", event(1), event(2), event(3))
        await told.ask("s", event(1, metadata={"a": 1}))
        await told.ask("s", event(7), context=CONTEXT.model_copy(update={"user_id": "u"}))

    assert len(await compare(opened, story)) == 13


async def test_ids_expected_positions_and_the_first_append(opened: Open) -> None:
    async def story(told: Told, _: Faults) -> None:
        await told.ask("s", event(0), expected="0")
        await told.ask("s", event(0), expected="0")
        first = await told.ask("s", event(1))
        await told.ask("s", event(1, first.event_id))
        await told.ask("s", event(2, first.event_id))
        await told.ask("s", event(3), expected=str(first.head))
        await told.ask("s", event(3), expected=str(first.head))
        for n in range(3):  # an index of ids is held from now on
            await told.ask("s", event(n, f"id {n}"))
            await told.ask("s", event(n))
        for n in range(3):
            await told.ask("s", event(n, f"id {n}"))
            await told.ask("s", event(-1, f"id {n}"))
        last = await told.ask("s", event(9))
        await told.ask("s", event(9, last.event_id))

    duplicates = [one[3] for one in await compare(opened, story) if len(one) == 5]
    assert sum(duplicates) == 5


async def test_too_large_closed_deleted_and_another_mode(opened: Open) -> None:
    async def story(told: Told, _: Faults) -> None:
        spine = told.spine
        await told.ask("s", event(1))
        await told.ask("s", event("x" * 2000))
        await told.ask("s", event(2), context=OTHER)
        await told.ask("of other", event(2), context=OTHER)
        await told.ask("of other", event(2), context=OTHER)
        await told.ask("of other", event(2))
        told.all.append(await spine.close_stream("s", CONTEXT))
        await told.ask("s", event(3))
        await spine.delete_stream("s", CONTEXT)
        await told.ask("s", event(4))
        await told.ask("s", event(5))
        await told.ask("s", event(6), context=OTHER)

    found = await compare(opened, story, event_bytes_max=1024)
    assert errors_in(found) == [
        *("TooLarge", "ScopeMismatch", "ScopeMismatch", "StreamClosed", "ScopeMismatch")
    ]


async def test_overloaded_and_what_fits_again(opened: Open) -> None:
    async def story(told: Told, faults: Faults) -> None:
        await told.ask("s", event(0))
        faults.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(told.ask, "s", event("x" * 1700))
            await faults.held()
            for stream in ("s", "other", "s"):
                await told.ask(stream, event("x" * 400))
            faults.release()
        await told.ask("s", event(1))

    found = await compare(opened, story, commit_bytes_waiting_max=2048)
    assert errors_in(found) == ["Overloaded"] * 3


async def test_draining(opened: Open) -> None:
    async def story(told: Told, _: Faults) -> None:
        for n in range(2):
            await told.ask("s", event(n))
        told.spine.drain()
        await told.ask("s", event(2))
        await told.ask("new", event(2))

    assert errors_in(await compare(opened, story)) == ["Draining"] * 2


async def test_a_store_that_is_opened_again_while_draining_takes_nothing(opened: Open) -> None:
    async def story(told: Told, faults: Faults) -> None:
        for n in range(3):
            await told.ask("s", event(n))
        faults.hold()
        faults.error = OSError(5, "broken")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(told.ask, "s", event(3))
            await faults.held()
            told.spine.drain()
            faults.release()
        with anyio.fail_after(10):
            while faults.opened < 2 or told.spine._hosts[0].store is None:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert (await told.spine.head("s", CONTEXT)).cursor.sequence == 3  # which wakes it
        for _ in range(2):
            await told.ask("s", event(4))

    found = await compare(opened, story)
    assert errors_in(found) == ["OutcomeUnknown", "Draining", "Draining"]


@pytest.mark.parametrize("error", [OSError(5, "broken"), StoreFull("no space", retry_after_s=5)])
async def test_a_store_that_fails_or_refuses(opened: Open, error: BaseException) -> None:
    async def story(told: Told, faults: Faults) -> None:
        await told.ask("s", event(0))
        faults.hold()
        faults.error = error
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(told.ask, "s", event(1))
            await faults.held()
            for n in (2, 3):
                tasks.start_soon(told.ask, "s", event(n))
                await anyio.wait_all_tasks_blocked()
            faults.release()
        told.all.sort(key=str)
        with anyio.fail_after(10):
            while True:
                try:
                    await told.spine.append("s", event(4, "id 4"), CONTEXT)
                    break
                except EventspineError:
                    await anyio.sleep(0.01)
        await told.ask("s", event(5))
        await told.ask("s", event(6))
        told.all.append(numbers(await everything(told.spine, "s")))

    found = await compare(opened, story)
    assert found[-1] == [0, 4, 5, 6]


async def test_live_readers_see_what_is_appended(opened: Open) -> None:
    async def story(told: Told, _: Faults) -> None:
        seen: list[int] = []

        async def read() -> None:
            async with await told.spine.subscribe("s", CONTEXT) as reader:
                async for piece in reader:
                    seen.extend(numbers(piece.lines))

        await told.ask("s", event(0))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            for n in range(1, 10):
                await told.ask("s", event(n))
                await told.ask("s", event(100 + n, f"id {n}"))
            await told.spine.close_stream("s", CONTEXT)
        told.all.append(seen)

    found = await compare(opened, story)
    assert len(found[-1]) == 19


@pytest.mark.parametrize("native", [True, False])
async def test_many_producers_of_all_kinds_leave_dense_streams_in_order(
    opened: Open, native: bool
) -> None:
    answers: dict[str, list[int]] = {f"s{n}": [] for n in range(3)}
    async with opened(native) as (spine, _):

        async def produce(who: int) -> None:
            stream, mine = f"s{who % 3}", []
            for n in range(20):
                at, kind = who * 1000 + n, (who // 3 + n) % 4
                if kind == 0:
                    answer = await spine.append(stream, event(at), CONTEXT)
                elif kind == 1:
                    answer = await spine.append(stream, event(at, metadata={"a": 1}), CONTEXT)
                elif kind == 2:
                    answer = await spine.append(stream, event(at, f"id {at}"), CONTEXT)
                else:
                    answer = await spine.append_batch(stream, [event(at), event(-1)], CONTEXT)
                mine += answer.sequences
            assert mine == sorted(mine)
            answers[stream] += mine

        async with anyio.create_task_group() as tasks:
            for who in range(24):
                tasks.start_soon(produce, who)
        for stream, sequences in answers.items():
            lines = await everything(spine, stream)
            assert sorted(sequences) == list(range(1, len(lines) + 1))
            assert [json.loads(line)["sequence"] for line in lines] == sorted(sequences)
            for who in range(int(stream[1:]), 24, 3):
                own = [n for n in numbers(lines) if n // 1000 == who]
                assert own == list(range(who * 1000, who * 1000 + 20))
        assert (spine._hosts[0].short is not None) == native


async def test_a_caller_that_gave_up_leaves_its_event_and_a_sound_stream(opened: Open) -> None:
    async with opened(True) as (spine, faults):
        await spine.append("s", event(0), CONTEXT)
        faults.hold()
        with anyio.move_on_after(0.05):
            await spine.append("s", event(1), CONTEXT)
        faults.release()
        answer = await spine.append("s", event(2), CONTEXT)
        assert [*answer.sequences] == [3]
        assert numbers(await everything(spine, "s")) == [0, 1, 2]


async def test_on_files_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    lab = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
    async with open_spine(tmp_path, lab=True) as spine:
        for n in range(200):
            await spine.append(f"s{n % 2}", event(n), lab)
        assert spine._hosts[0].short.taken > 190
    async with open_spine(tmp_path) as spine:
        for n in range(2):
            assert numbers(await everything(spine, f"s{n}", lab)) == list(range(n, 200, 2))
            await spine.append(f"s{n}", event(200 + n), lab)
