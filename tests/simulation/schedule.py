"""One schedule: everything that happens, from one seed, and the judgement of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trio
import trio.testing

from eventspine.contracts.limits import Limits
from eventspine.contracts.settings import Settings, StorageSettings
from tests.simulation.judge import judge
from tests.simulation.ledger import Ledger
from tests.simulation.machine import End, Life, Machine
from tests.simulation.reader import Listener, PageReader
from tests.simulation.trace import Trace
from tests.simulation.world import world_of
from tests.simulation.writer import Writer

VIRTUAL_S_MAX = 300.0
STREAMS = ["a1", "c1", "d1", "b1"]


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
            f"seed {self.seed}: {said}\n  digest {self.digest}, {self.acknowledged} events"
            f" acknowledged, {self.starts} processes, {self.operations} disk operations,"
            f" {self.virtual_s:.3f} s; again: python -m tests.simulation {self.seed} -v"
        )


def run(seed: int, show: Callable[[str], object] | None = None) -> Outcome:
    """Run one schedule. Never raises for what the product does: that is in the verdict."""
    with world_of(seed):
        clock = trio.testing.MockClock(autojump_threshold=0)
        schedule = Schedule(seed, Trace(clock.current_time, show))
        try:
            trio.run(schedule.main, clock=clock)
        except trio.TrioInternalError as error:
            schedule.broke_the_loop(error)
        return schedule.outcome(clock.current_time())


class Schedule:
    def __init__(self, seed: int, trace: Trace) -> None:
        self.seed = seed
        self._rng = rng = random.Random(f"schedule {seed}")
        self._ledger = Ledger()
        self._trace = trace
        self._scope = trio.CancelScope()
        self._machine = Machine(seed, _settings(rng, seed), self._ledger, trace)
        self._machine.disk.short_writes = rng.choice([0.0, 0.1])
        self._machine.disk.cold = rng.choice([0.0, 0.5])
        self._streams = STREAMS[: rng.randint(1, 4)]
        rng.shuffle(self._streams)

    async def main(self) -> None:
        try:
            with trio.fail_after(VIRTUAL_S_MAX), self._scope:
                await self._lives()
                reader = PageReader("judge", self._machine, self._streams, self.seed)
                writer = Writer("last", self._machine, self._streams, self.seed)
                await judge(self._machine, writer, reader)
        except trio.TooSlowError:
            self._ledger.wrong(f"it hangs: not done after {VIRTUAL_S_MAX} virtual seconds")
        except Exception as error:
            self._trace.add("schedule", f"raised {error!r}")
            self._ledger.wrong(f"raised {error!r} {getattr(error, 'exceptions', '')}")

    async def _lives(self) -> None:
        rng, machine = self._rng, self._machine
        async with trio.open_nursery() as readers:
            for n in range(rng.randint(1, 2)):
                readers.start_soon(PageReader(f"pages{n}", machine, self._streams, self.seed).run)
            for n in range(rng.randint(1, 2)):
                stream = self._ledger[rng.choice(self._streams)]
                readers.start_soon(Listener(f"live{n}", machine, stream).run)
            async with trio.open_nursery() as both:
                both.start_soon(self._operate)
                both.start_soon(self._write)
            readers.cancel_scope.cancel()

    async def _write(self) -> None:
        async with trio.open_nursery() as writers:
            for n in range(self._rng.randint(1, 3)):
                writer = Writer(f"w{n}", self._machine, self._streams, self.seed)
                writers.start_soon(writer.run, self._rng.randint(3, 9))
        self._machine.operator_stops.set()

    async def _operate(self) -> None:
        """Processes, one after the other, until the writers are done."""
        lives = _lives(self._rng)
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
            self._ledger.verdict,
            self._trace.digest,
            self._ledger.history.acknowledged,
            machine.starts,
            machine.disk.operations,
            virtual_s,
        )


LAST = Life("stop", after_s=100.0)


def _lives(rng: random.Random) -> Iterator[Life]:
    """What befalls the first processes; now and then what only hurts in this order."""
    roll = rng.random()
    if roll < 0.1:  # killed while it makes its first directories, and then the power goes
        yield Life("kill", 1.0, crash_after=rng.randint(10, 15))
        yield Life("power", 1.0, crash_after=rng.randint(15, 45))
    elif roll < 0.35:  # a torn tail, found by a process that has no space to recover
        ends: tuple[End, ...] = ("kill", "power")
        full, space_s = rng.randint(0, 63), rng.choice([0.01, 0.01, 10.0])
        sync = rng.choice([None, rng.randint(3, 14)])
        yield Life(rng.choice(ends), 1.0, crash_after=rng.randint(20, 90), crash_sync=sync)
        end = rng.choice([*ends, "stop"])
        yield Life(end, rng.uniform(0.02, 0.2), space_bytes=full, space_s=space_s)
    for _ in range(rng.randint(0, 3)):
        yield _life(rng)


def _life(rng: random.Random) -> Life:
    roll = rng.random()
    return Life(
        end=rng.choices(["stop", "kill", "power"], [1, 3, 4])[0],  # type: ignore[arg-type]
        after_s=rng.expovariate(8),
        crash_after=rng.randint(1, rng.choice([30, 120, 400])) if rng.random() < 0.7 else None,
        failing_sync=rng.randint(1, 40) if roll < 0.15 else None,
        failing_operation=rng.randint(20, 200) if 0.15 < roll < 0.2 else None,
        space_bytes=rng.choice([rng.randint(0, 200), rng.randint(0, 12_000)])
        if 0.2 < roll < 0.42
        else None,
        space_s=rng.expovariate(20),
        power_too=rng.random() < 0.3,
    )


def _settings(rng: random.Random, seed: int) -> Settings:
    storage = StorageSettings.model_construct(
        log_segment_bytes=rng.choice([600, 2000, 8000]),
        log_segments_max=rng.choice([2, 3, 10]),
        flush_interval_s=rng.choice([0.005, 0.03, 0.2]),
        sync_files_max=random.Random(f"sync {seed}").choice([0, 1, 1000]),
        open_files_max=8,
    )
    limits = Limits.model_construct(
        cells_max=rng.choice([1, 2, 1000]),
        cell_idle_s_max=rng.choice([0.1, 300.0]),
        turn_waiters_max=rng.choice([1, 1024]),
        commit_bytes_waiting_max=rng.choice([1024, 1 << 20]),
        page_bytes_max=rng.choice([1024, 1 << 20]),
        heartbeat_s=1e9,  # who is told when depends on addresses in memory
    )
    return Settings(storage=storage, limits=limits)
