"""One schedule: everything that happens, from one seed, and the judgement of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from tests.simulation.clock import JumpingClock
from tests.simulation.judge import judge
from tests.simulation.ledger import Ledger
from tests.simulation.life import Life
from tests.simulation.machine import Machine
from tests.simulation.plan import Plan
from tests.simulation.profiles import plan_of, profile_of
from tests.simulation.reader import Listener, PageReader
from tests.simulation.trace import Trace
from tests.simulation.world import world_of
from tests.simulation.writer import Writer

VIRTUAL_S_MAX = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a schedule came to. `verdict` is empty when every promise was kept."""

    seed: int
    verdict: str
    digest: str
    acknowledged: int
    starts: int
    operations: int
    virtual_s: float

    def __str__(self) -> str:
        said = self.verdict or "every promise kept"
        return (
            f"seed {self.seed} ({profile_of(self.seed)}): {said}\n"
            f"  digest {self.digest}, {self.acknowledged} events acknowledged,"
            f" {self.starts} processes, {self.operations} disk operations,"
            f" {self.virtual_s:.3f} s; again: python -m tests.simulation {self.seed} -v"
        )


def run(seed: int, show: Callable[[str], object] | None = None) -> Outcome:
    """Run one schedule. Never raises for what the product does: that is in the verdict."""
    plan = plan_of(seed)
    with world_of(seed, plan) as failed_assertions:
        clock = JumpingClock()
        schedule = Schedule(seed, plan, clock, show, failed_assertions)
        try:
            trio.run(schedule.main, clock=clock)
        except trio.TrioInternalError as error:
            schedule.broke_the_loop(error)
        return schedule.outcome(clock.current_time())


class Schedule:
    def __init__(
        self,
        seed: int,
        plan: Plan,
        clock: JumpingClock,
        show: Callable[[str], object] | None,
        failed_assertions: Sequence[str],
    ) -> None:
        self.seed = seed
        self._plan = plan
        self._rng = random.Random(f"schedule {seed}")
        self._ledger = Ledger()
        self._trace = trace = Trace(clock.current_time, show)
        self._failed_assertions = failed_assertions
        self._scope = trio.CancelScope()
        self._machine = Machine(seed, plan.settings, self._ledger, trace, clock, plan.pauses)
        self._machine.disk.short_writes = plan.short_writes
        self._machine.disk.cold = plan.cold

    async def main(self) -> None:
        try:
            with trio.fail_after(VIRTUAL_S_MAX), self._scope:
                await self._lives()
                streams = self._plan.streams
                reader = PageReader("judge", self._machine, streams, self.seed)
                writer = Writer("last", self._machine, streams, self.seed)
                await judge(self._machine, writer, reader, self._plan.rot)
        except trio.TooSlowError:
            self._ledger.wrong(f"it hangs: not done after {VIRTUAL_S_MAX} virtual seconds")
        except Exception as error:
            self._trace.add("schedule", f"raised {error!r}")
            self._ledger.wrong(f"raised {error!r} {getattr(error, 'exceptions', '')}")

    async def _lives(self) -> None:
        plan, machine = self._plan, self._machine
        async with trio.open_nursery() as readers:
            for n in range(plan.pages):
                readers.start_soon(PageReader(f"pages{n}", machine, plan.streams, self.seed).run)
            for n, stream_id in enumerate(plan.listening):
                readers.start_soon(Listener(f"live{n}", machine, self._ledger[stream_id]).run)
            async with trio.open_nursery() as both:
                both.start_soon(self._operate)
                both.start_soon(self._write)
            readers.cancel_scope.cancel()

    async def _write(self) -> None:
        plan = self._plan
        async with trio.open_nursery() as writers:
            for n, deeds in enumerate(plan.deeds):
                writer = Writer(f"w{n}", self._machine, plan.streams, self.seed, plan.habits)
                writers.start_soon(writer.run, deeds)
        self._machine.operator_stops.set()

    async def _operate(self) -> None:
        """Processes, one after the other, until the writers are done."""
        lives = iter(self._plan.lives)
        while not self._machine.operator_stops.is_set():
            await self._machine.live(next(lives, LAST))
            if self._ledger.verdict:  # a promise is broken: nothing after it says more
                self._scope.cancel()
            await trio.sleep(self._rng.random() / 100)

    def broke_the_loop(self, error: trio.TrioInternalError) -> None:
        self._ledger.wrong(f"an error got out of a callback on the loop: {error.__cause__!r}")

    def outcome(self, virtual_s: float) -> Outcome:
        machine = self._machine
        return Outcome(
            self.seed,
            "\n".join(filter(None, [self._ledger.verdict, *self._failed_assertions])),
            self._trace.digest,
            self._ledger.history.acknowledged,
            machine.starts,
            machine.disk.operations,
            virtual_s,
        )


LAST = Life("stop", after_s=100.0)
