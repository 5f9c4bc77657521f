"""What a schedule is made of, drawn from its seed before it begins: as in any schedule.

What is different in some of them is in profiles.py.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eventspine.contracts.limits import Limits
from eventspine.contracts.settings import AuditSettings, Settings, StorageSettings
from tests.simulation.habits import USUAL, Habits
from tests.simulation.life import Life

STREAMS = ["a1", "c1", "d1", "b1"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One schedule, before it begins.

    Attributes:
        lives: what befalls the first processes; later ones live until the clients are done.
        deeds: how many, for each client that writes.
        listening: the stream of each client that listens.
        pages: how many clients read by pages.
        sizes: of the product's constants, those that are not left to chance (see world.py).
        pauses: share of the disk's operations before which others run.
        passes_s: between two passes over a stream's audience, on average; 0: none.
        short_writes, cold: see SimulatedDisk.
        rot: how likely it is that a bit rots at the end.
    """

    settings: Settings
    lives: Sequence[Life]
    streams: Sequence[str]
    deeds: Sequence[int]
    listening: Sequence[str]
    pages: int
    pauses: float
    passes_s: float
    short_writes: float
    cold: float
    rot: float = 0.25
    habits: Habits = USUAL
    sizes: Mapping[str, int] = field(default_factory=dict)

    def with_settings(self, limits: Mapping[str, Any] = {}, **storage: Any) -> Plan:
        changed = {
            "storage": self.settings.storage.model_copy(update=storage),
            "limits": self.settings.limits.model_copy(update=dict(limits)),
        }
        return replace(self, settings=self.settings.model_copy(update=changed))


def usual_plan(rng: random.Random) -> Plan:
    """Everything is left to chance."""
    streams = STREAMS[: rng.randint(1, 4)]
    rng.shuffle(streams)
    return Plan(
        settings=_settings(rng),
        lives=[_life(rng) for _ in range(rng.randint(0, 3))],
        streams=streams,
        deeds=[rng.randint(3, 9) for _ in range(rng.randint(1, 3))],
        listening=[rng.choice(streams) for _ in range(rng.randint(1, 2))],
        pages=rng.randint(1, 2),
        pauses=rng.choice([0.1, 0.3, 0.6]),
        passes_s=rng.choice([0.0, 0.0, 0.0005]),
        short_writes=rng.choice([0.0, 0.1]),
        cold=rng.choice([0.0, 0.5]),
    )


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


def _settings(rng: random.Random) -> Settings:
    storage = StorageSettings.model_construct(
        log_segment_bytes=rng.choice([600, 2000, 8000]),
        log_segments_max=rng.choice([2, 3, 10]),
        flush_interval_s=rng.choice([0.005, 0.03, 0.2]),
        sync_files_max=rng.choice([0, 1, 1000]),
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
    audit = AuditSettings(lookups=False)  # its stream would take the only cell of some schedules
    return Settings(storage=storage, limits=limits, audit=audit)
