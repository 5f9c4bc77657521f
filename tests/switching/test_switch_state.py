"""Switches beside a plain model: any program of steps, writes, route edits and restarts.

Two routes move among three places: one of streams, one of tables. The model holds what each place
has to have. After every step all that was acknowledged is read through the product, once and in
order, and the registry and the switch are where the model says. Hypothesis prints the program, and
the blob that runs it again, of any failure.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, ClassVar

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import eventspine
from eventspine import Settings, Spine
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import RouteConflict, SwitchNotFound, SwitchRefused
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import AuditSettings
from eventspine.contracts.switch import ENDED, Place, SwitchState
from tests.switching.conftest import CONTEXT, FILES, LAB, OTHER_FILES, lead
from tests.switching.journey import PLACES, Journey

S = SwitchState
STREAMS = st.sampled_from(["a", "b", "é/²"])
ROWS = st.sampled_from(["x", "y", "z"])
KINDS = [ResourceKind.EVENT_STREAM, ResourceKind.TABULAR_STORE]
Work = Callable[[], Awaitable[object]]


class SwitchesAndModel(RuleBasedStateMachine):
    backend: ClassVar[str] = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(mkdtemp(prefix="eventspine-test-"))
        self.stack = ExitStack()
        self.portal: BlockingPortal = self.stack.enter_context(start_blocking_portal(self.backend))
        self.journeys = {kind: Journey(kind) for kind in KINDS}
        self.made = 0
        self.spine: Spine | None = None
        self.open: AbstractContextManager[Spine]

    def done(self, work: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return self.portal.call(work, *args)

    @property
    def running(self) -> Spine:
        assert self.spine is not None
        return self.spine

    def begin(self) -> None:
        settings = Settings(lab=LAB, audit=AuditSettings(lookups=False))
        opened = eventspine.open(self.root, lab=True, settings=settings)
        self.open = self.portal.wrap_async_context_manager(opened)
        self.spine = self.open.__enter__()

    @initialize(at=st.sampled_from(sorted(PLACES)))
    def start_process(self, at: str) -> None:
        self.begin()
        for journey in self.journeys.values():
            self.done(lead, self.running, PLACES[at], journey.kind)
            journey.at = at

    def teardown(self) -> None:
        if self.spine is not None:
            self.open.__exit__(None, None, None)
        self.stack.close()
        shutil.rmtree(self.root)

    # --- clients ---

    async def append(self, stream: str, count: int) -> None:
        journey = self.journeys[ResourceKind.EVENT_STREAM]
        model = journey.stream(stream)
        if model.closed:
            return
        new = [f"e{self.made + n}" for n in range(count)]
        self.made += count
        events: list[dict[str, Any]] = [
            {"event_type": "t", "event_id": id, "payload": {}} for id in new
        ]
        await self.running.append_batch(stream, events, CONTEXT)
        model.ids += new

    async def upsert(self, row: str) -> None:
        """A row is in the model as `row=value`; deleted, as `row=`."""
        self.made += 1
        await self.running.tables(CONTEXT).upsert("t", row, {"v": self.made})
        self.journeys[ResourceKind.TABULAR_STORE].stream("t").ids.append(f"{row}={self.made}")

    @rule(stream=STREAMS, count=st.integers(1, 5))
    def append_some(self, stream: str, count: int) -> None:
        self.done(self.append, stream, count)

    @rule(stream=STREAMS, pick=st.integers(0, 9))
    def append_again(self, stream: str, pick: int) -> None:
        """What was answered is answered again, wherever the stream is now."""
        ids = self.journeys[ResourceKind.EVENT_STREAM].stream(stream).ids
        if ids:
            at = pick % len(ids)
            event = {"event_type": "t", "event_id": ids[at], "payload": {}}
            answer = self.done(self.running.append_batch, stream, [event], CONTEXT)
            assert (answer.duplicates, list(answer.sequences)) == (1, [at + 1])

    @rule(stream=STREAMS, delete=st.booleans())
    def end_a_stream(self, stream: str, delete: bool) -> None:
        model = self.journeys[ResourceKind.EVENT_STREAM].stream(stream)
        if not model.ids:
            return
        if delete:
            self.done(self.running.delete_stream, stream, CONTEXT)
            model.epoch, model.closed, model.ids = model.epoch + 1, False, []
        else:
            self.done(self.running.close_stream, stream, CONTEXT)
            model.closed = True

    @rule(row=ROWS)
    def upsert_one(self, row: str) -> None:
        self.done(self.upsert, row)

    @rule(row=ROWS)
    def delete_a_row(self, row: str) -> None:
        if row in self.rows():
            self.done(self.running.tables(CONTEXT).delete, "t", row)
            self.journeys[ResourceKind.TABULAR_STORE].stream("t").ids.append(f"{row}=")

    def rows(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for operation in self.journeys[ResourceKind.TABULAR_STORE].stream("t").ids:
            row, _, value = operation.partition("=")
            found.pop(row, None)
            if value:
                found[row] = int(value)
        return found

    # --- steps ---

    async def step(self, work: Work, busy: int) -> None:
        """A step, with clients and an edit of another route at work during it."""

        async def clients() -> None:
            for n in range(busy):
                await self.append("ab"[n % 2], 1 + n % 2)
                await self.upsert("xyz"[n % 3])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clients)
            if busy % 2:
                tasks.start_soon(self._edit_another)
            await work()

    async def _edit_another(self) -> None:
        await edit_another(self.running)

    def take(
        self, kind: ResourceKind, name: str, states: dict[SwitchState, SwitchState], busy: int
    ) -> None:
        """A step that is taken from some states and refused in all others."""
        journey, switches = self.journeys[kind], self.running.switches
        work = getattr(switches, name)

        async def when_level() -> None:
            await switches.wait_level(journey.key)
            await work(journey.key)

        if journey.state not in states:
            with pytest.raises((SwitchRefused, SwitchNotFound)):
                self.done(work, journey.key)
            return
        waits = journey.state is not S.PREPARED
        self.done(self.step, when_level if waits else lambda: work(journey.key), busy)
        before, journey.state = journey.state, states[journey.state]
        assert before is not None
        if before is not S.PREPARED:
            journey.both_have_it()
        if name in ("switch", "reverse"):
            journey.at = journey.other

    @rule(kind=st.sampled_from(KINDS), to=st.sampled_from(sorted(PLACES)))
    def start(self, kind: ResourceKind, to: str) -> None:
        journey = self.journeys[kind]
        try:
            self.done(self.running.switches.start, journey.key, PLACES[to])
        except SwitchRefused:
            assert journey.parted or not journey.may_start(to)
            return
        assert journey.may_start(to)
        journey.source, journey.target, journey.state = journey.at, to, S.PREPARED

    @rule(
        kind=st.sampled_from(KINDS),
        to=st.sampled_from(sorted(PLACES)),
        busy=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    )
    def go_on(self, kind: ResourceKind, to: str, busy: list[int]) -> None:
        """Some steps as an operator takes them: each the one that is due."""
        due: dict[SwitchState, Callable[[ResourceKind, int], None]] = {
            S.PREPARED: self.copy,
            S.COPYING: self.copy,
            S.DUAL_WRITING: self.verify,
            S.VERIFIED: self.switch,
            S.SWITCHED: self.reverse if len(busy) % 2 else self.finish,
            S.REVERSED: self.verify if len(busy) % 3 else self.finish,
        }
        for much in busy:
            journey = self.journeys[kind]
            if journey.state is None or not journey.is_open:
                self.start(kind, to)
            else:
                due[journey.state](kind, much)
            self.everything_is_there_once_and_in_order()

    @rule(kind=st.sampled_from(KINDS), busy=st.integers(0, 6))
    def copy(self, kind: ResourceKind, busy: int) -> None:
        journey = self.journeys[kind]
        open_states = [state for state in S if state not in ENDED]
        after = {state: state for state in open_states} | {
            S.PREPARED: S.DUAL_WRITING,
            S.COPYING: S.DUAL_WRITING,
        }
        self.take(kind, "copy", after, busy)
        if journey.is_open:
            self.done(self.running.switches.wait_level, journey.key)

    @rule(kind=st.sampled_from(KINDS), busy=st.integers(0, 6))
    def verify(self, kind: ResourceKind, busy: int) -> None:
        after = {
            S.COPYING: S.VERIFIED,
            S.DUAL_WRITING: S.VERIFIED,
            S.VERIFIED: S.VERIFIED,
            S.SWITCHED: S.SWITCHED,
            S.REVERSED: S.VERIFIED,
        }
        self.take(kind, "verify", after, busy)
        if self.journeys[kind].state in after:
            found = self.running.switches.get(self.journeys[kind].key)
            assert found.verification is not None
            assert found.verification.difference is None

    @rule(kind=st.sampled_from(KINDS), busy=st.integers(0, 6))
    def switch(self, kind: ResourceKind, busy: int) -> None:
        self.take(kind, "switch", {S.VERIFIED: S.SWITCHED}, busy)

    @rule(kind=st.sampled_from(KINDS), busy=st.integers(0, 6))
    def reverse(self, kind: ResourceKind, busy: int) -> None:
        self.take(kind, "reverse", {S.SWITCHED: S.REVERSED}, busy)

    @rule(kind=st.sampled_from(KINDS), busy=st.integers(0, 6))
    def finish(self, kind: ResourceKind, busy: int) -> None:
        after = {S.SWITCHED: S.FINISHED, S.REVERSED: S.FINISHED}
        self.take(kind, "finish", after, busy)

    @rule(kind=st.sampled_from(KINDS), busy=st.integers(0, 6))
    def cancel(self, kind: ResourceKind, busy: int) -> None:
        may = [S.PREPARED, S.COPYING, S.DUAL_WRITING, S.VERIFIED, S.REVERSED]
        self.take(kind, "cancel", dict.fromkeys(may, S.CANCELLED), busy)

    # --- the world around it ---

    @rule()
    def edit_another_route(self) -> None:
        self.done(self._edit_another)

    @rule(to=st.sampled_from(sorted(PLACES)))
    def edit_the_route_itself(self, to: str) -> None:
        journey = self.journeys[ResourceKind.EVENT_STREAM]
        if journey.is_open:
            with pytest.raises(RouteConflict):
                self.done(lead, self.running, PLACES[to])
        else:
            self.done(lead, self.running, PLACES[to])
            journey.at, journey.parted = to, True

    @precondition(lambda self: all(one.at != "memory" for one in self.journeys.values()))
    @rule()
    def restart(self) -> None:
        self.open.__exit__(None, None, None)
        for journey in self.journeys.values():
            journey.held["memory"] = {}
            forgets = journey.state is S.VERIFIED and "memory" in (journey.source, journey.target)
            if journey.state is S.DUAL_WRITING or forgets:
                journey.state = S.COPYING
        self.begin()

    # --- what is so after every step ---

    @invariant()
    def everything_is_there_once_and_in_order(self) -> None:
        if self.spine is not None:
            self.done(self._look)

    async def _look(self) -> None:
        spine = self.running
        for name, model in self.journeys[ResourceKind.EVENT_STREAM].held_here.items():
            page = await spine.list_after(name, None, CONTEXT, limit=10_000)
            assert [json.loads(line)["event_id"] for line in page.lines] == model.ids, name
            if model.ids or model.epoch > 1:
                head = await spine.head(name, CONTEXT)
                found = (head.cursor, head.closed)
                assert found == (Cursor(model.epoch, len(model.ids)), model.closed), name
        rows = (await spine.tables(CONTEXT).page("t")).rows
        assert {row.key: json.loads(row.json)["v"] for row in rows} == self.rows()
        for journey in self.journeys.values():
            assert Place.of(spine.routes.get(journey.key)) == PLACES[journey.at]
            if journey.state is not None:
                self._look_at_switch(journey)

    def _look_at_switch(self, journey: Journey) -> None:
        found = self.running.switches.get(journey.key)
        level = {journey.state, S.DUAL_WRITING} if journey.state is S.COPYING else {journey.state}
        assert found.state in level
        assert found.error is None
        assert (found.source, found.target) == (PLACES[journey.source], PLACES[journey.target])


async def edit_another(spine: Spine) -> None:
    """A row of another tenant is made, moved and removed."""
    spec = RouteSpec(
        resource_kind=ResourceKind.EVENT_STREAM,
        tenant_id="t_else",
        env="dev",
        mode="lab",
        **FILES.model_dump(),
    )
    await spine.routes.create(spec)
    await spine.routes.update(OTHER_FILES.in_place_of(spec))
    await spine.routes.delete(spec.key)


class OnTrio(SwitchesAndModel):
    backend = "trio"


LIVES = settings(max_examples=8, stateful_step_count=20, print_blob=True)
SwitchesAndModel.TestCase.settings = OnTrio.TestCase.settings = LIVES
TestOnAsyncio, TestOnTrio = SwitchesAndModel.TestCase, OnTrio.TestCase
