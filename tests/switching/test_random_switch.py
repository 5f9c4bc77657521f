"""Random work and random steps at once, beside a plain model of what each stream has to hold."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from eventspine import Spine
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import StreamClosed, SwitchRefused
from eventspine.contracts.switch import Place, SwitchState
from tests.switching.conftest import CONTEXT, KEY, Direction, Opener, lead

pytestmark = pytest.mark.anyio
S = SwitchState
WRITERS, READERS, OPERATIONS, STEPS = 8, 3, 60, 30
SHARED = "shared"


class Model:
    """What a stream holds: one writer owns it, so the model is exact."""

    def __init__(self) -> None:
        self.epoch = 1
        self.closed = False
        self.ids: list[str] = []


class Writer:
    """Appends, closes and deletes on streams of its own, and appends to one of all writers."""

    def __init__(self, spine: Spine, name: str, rng: random.Random) -> None:
        self.streams: dict[str, Model] = {}
        self.shared: list[str] = []
        self._spine, self._name, self._rng = spine, name, rng
        self._made = 0

    async def run(self) -> None:
        for _ in range(OPERATIONS):
            roll = self._rng.random()
            stream = f"{self._name}-{self._rng.randrange(3)}"
            model = self.streams.setdefault(stream, Model())
            if roll < 0.3:
                await self._append(SHARED, self.shared)
            elif roll < 0.4 and model.ids:
                await self._spine.delete_stream(stream, CONTEXT)
                model.epoch, model.closed, model.ids = model.epoch + 1, False, []
            elif roll < 0.45 and model.ids:
                await self._spine.close_stream(stream, CONTEXT)
                model.closed = True
            elif roll < 0.55 and model.ids:
                await self._again(stream, model)
            elif model.closed:
                with pytest.raises(StreamClosed):
                    await self._append(stream, [])
            else:
                await self._append(stream, model.ids)

    async def _append(self, stream: str, ids: list[str]) -> None:
        """One event, or a few; some with ids that have to be looked up."""
        count = self._rng.choice([1, 1, 1, 5])
        new = [f"{self._name}.{self._made + n}" for n in range(count)]
        self._made += count
        events: list[dict[str, Any]] = [
            {"event_type": "t", "event_id": id, "payload": {}} for id in new
        ]
        await self._spine.append_batch(stream, events, CONTEXT)
        ids += new

    async def _again(self, stream: str, model: Model) -> None:
        """What was answered is answered again, wherever the stream is now."""
        at = self._rng.randrange(len(model.ids))
        event = {"event_type": "t", "event_id": model.ids[at], "payload": {}}
        answer = await self._spine.append_batch(stream, [event], CONTEXT)
        assert (answer.duplicates, list(answer.sequences)) == (1, [at + 1])


class Operator:
    """Takes whatever step comes to mind; most are refused, and none may do harm."""

    def __init__(self, spine: Spine, direction: Direction, rng: random.Random) -> None:
        self.taken: dict[str, int] = {}
        self._spine, self._rng = spine, rng
        self._places = list(direction)

    async def run(self) -> None:
        switches = self._spine.switches
        steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("start", self._start),
            ("copy", lambda: switches.copy(KEY)),
            ("verify", lambda: switches.verify(KEY)),
            ("switch", lambda: switches.switch(KEY)),
            ("reverse", lambda: switches.reverse(KEY)),
            ("finish", lambda: switches.finish(KEY)),
        ]
        at = 0
        for _ in range(STEPS):
            name, step = steps[at] if self._rng.random() < 0.8 else self._rng.choice(steps)
            at = (at + 1) % len(steps)
            try:
                await step()
                self.taken[name] = self.taken.get(name, 0) + 1
                if name == "copy":
                    await switches.wait_level(KEY)
            except SwitchRefused:
                await checkpoint()

    async def _start(self) -> None:
        now = Place.of(self._spine.routes.get(KEY))
        target = next(place for place in self._places if place != now)
        await self._spine.switches.start(KEY, target)


async def read(spine: Spine, into: list[str]) -> None:
    async with await spine.subscribe(SHARED, CONTEXT) as reader:
        async for piece in reader:
            into.extend(json.loads(line)["event_id"] for line in piece.lines)


async def check(spine: Spine, writer: Writer) -> None:
    for stream, model in writer.streams.items():
        head = await spine.head(stream, CONTEXT)
        assert head.cursor == Cursor(model.epoch, len(model.ids)), stream
        assert head.closed == model.closed, stream
        lines = (await spine.list_after(stream, None, CONTEXT, limit=10_000)).lines
        assert [json.loads(line)["event_id"] for line in lines] == model.ids, stream


@pytest.mark.parametrize("seed", range(3))
async def test_random_work_during_random_steps(
    opener: Opener, direction: Direction, seed: int
) -> None:
    print("seed", seed)
    async with opener(heartbeat_s=15) as spine:  # which wakes no reader in time
        await lead(spine, direction.source)
        writers = [Writer(spine, f"w{n}", random.Random(f"{seed} {n}")) for n in range(WRITERS)]
        operator = Operator(spine, direction, random.Random(f"{seed} operator"))
        told: list[list[str]] = [[] for _ in range(READERS)]
        async with anyio.create_task_group() as reading:
            for into in told:
                reading.start_soon(read, spine, into)
            async with anyio.create_task_group() as working:
                working.start_soon(operator.run)
                for writer in writers:
                    working.start_soon(writer.run)
            for writer in writers:
                await check(spine, writer)
            lines = (await spine.list_after(SHARED, None, CONTEXT, limit=10_000)).lines
            shared = [json.loads(line)["event_id"] for line in lines]
            for writer in writers:
                assert [id for id in shared if id in set(writer.shared)] == writer.shared
            assert len(shared) == sum(len(writer.shared) for writer in writers)
            with anyio.fail_after(8):
                while any(into != shared for into in told):
                    await checkpoint()
            reading.cancel_scope.cancel()
        assert operator.taken.get("switch", 0) >= 1, operator.taken
