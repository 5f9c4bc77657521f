"""What a directory counted: cheap to write, frozen to read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from eventspine.runtime.cell import VACANT, Cell
from eventspine.runtime.quarantine import Sickness

_CAUSES = ("limit", "idle", "drain")
_BUCKETS = 40  # powers of two of a microsecond: the last one is a week


@dataclass(frozen=True, slots=True)
class TimingStatistics:
    """Distribution of a duration. `buckets[i]` counts durations below 2**i microseconds."""

    count: int
    sum_s: float
    max_s: float
    buckets: tuple[int, ...]

    @property
    def mean_s(self) -> float:
        return self.sum_s / self.count if self.count else 0.0

    def quantile_s(self, share: float) -> float:
        """Upper bound of the duration that `share` (0 to 1) of all stay below, within a factor 2.

        The bucket bound may lie above everything measured; then `max_s` is the bound.
        """
        left = share * self.count
        for exponent, count in enumerate(self.buckets):
            left -= count
            if left <= 0:
                return min(self.max_s, 2.0**exponent / 1e6)
        return self.max_s


class Timing:
    """Count, sum, maximum and a power-of-two histogram; recording costs about 0.3 us."""

    __slots__ = ("buckets", "count", "max_s", "sum_s")

    def __init__(self) -> None:
        self.count = 0
        self.sum_s = 0.0
        self.max_s = 0.0
        self.buckets = [0] * _BUCKETS

    @property
    def mean_s(self) -> float:
        return self.sum_s / self.count if self.count else 0.0

    def record(self, seconds: float) -> None:
        self.count += 1
        self.sum_s += seconds
        self.max_s = max(self.max_s, seconds)
        self.buckets[min(int(seconds * 1e6).bit_length(), _BUCKETS - 1)] += 1

    def statistics(self) -> TimingStatistics:
        return TimingStatistics(self.count, self.sum_s, self.max_s, tuple(self.buckets))


@dataclass(slots=True)
class Counters:
    """What only ever grows; `waiting` alone is of now, kept beside its own peak."""

    waiting: int = 0
    waiting_peak: int = 0
    activations: int = 0
    activation_failures: int = 0
    passivated: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_CAUSES, 0))
    crashes: int = 0
    resets: int = 0
    deadlocks_refused: int = 0
    overloaded_refused: int = 0
    deadline_refused: int = 0
    quarantined_refused: int = 0
    draining_refused: int = 0

    def copy(self) -> Counters:
        return replace(self, passivated=dict(self.passivated))


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryStatistics:
    """One directory at one moment.

    Attributes:
        turns: asked for since the directory was made, `live` ones and refused ones included.
        turn_wait: of the turns that had to wait; the others are not measured.
        turn_hold: of `turn` and `control`, activation included; `live` is not measured.
        counters: a copy, for the reader to keep.
    """

    name: str
    cells_now: int
    activated_now: int
    running_now: int
    activations_waiting_now: int
    sick_keys_now: int
    quarantined_keys_now: int
    turns: int
    turn_wait: TimingStatistics
    turn_hold: TimingStatistics
    counters: Counters


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSnapshot:
    """One key at one moment, for explain. Times in seconds; None where there is none.

    Attributes:
        asking: `directory/key` of what the running turn is asking at this moment.
    """

    key: str
    activated: bool
    running: bool
    incarnation: int | None
    running_s: float | None
    waiting: int
    waiting_control: int
    asking: tuple[str, ...]
    crashes: int
    crash_cause: str | None
    rest_left_s: float

    @classmethod
    def of(
        cls, key: str, cell: Cell[Any] | None, sickness: Sickness | None, now: float
    ) -> CellSnapshot:
        turn = cell.turn if cell is not None else None
        line = turn.line if turn is not None else None
        asked = turn.asks if turn is not None else None
        return cls(
            key=key,
            activated=cell is not None and cell.state is not VACANT,
            running=turn is not None,
            incarnation=cell.incarnation if cell is not None else None,
            running_s=now - turn.began_s if turn is not None else None,
            waiting=len(line.turns) if line is not None else 0,
            waiting_control=len(line.control) if line is not None else 0,
            asking=tuple(c.turn.label if c.turn is not None else c.key for c in asked or ()),
            crashes=len(sickness.crashes) if sickness is not None else 0,
            crash_cause=sickness.cause if sickness is not None else None,
            rest_left_s=max(0.0, sickness.rests_until - now) if sickness is not None else 0.0,
        )
