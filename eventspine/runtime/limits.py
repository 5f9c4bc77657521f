"""The bounds of one directory. Every one is enforced, and its name is in the refusal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryLimits:
    """Bounds of a directory of cells.

    Attributes:
        waiters_max: callers in line per cell; more are refused with Overloaded.
        turn_wait_s: deadline of a caller that states none, in seconds.
        activations_max: activations at once in the whole directory.
        cells_max: cells held; an idle one is passivated for each new one beyond.
        idle_s_max: idle time after which a cell is passivated (at most a quarter later).
        crashes_max: crashes of one key within `crash_period_s` that put it into quarantine.
        crash_period_s: the window, in seconds.
        rest_s_min: first rest in quarantine; doubles with every further one.
        rest_s_max: longest rest in quarantine.
        sick_keys_max: keys with a crash record; the oldest record is forgotten beyond.
    """

    waiters_max: int = 64
    turn_wait_s: float = 5.0
    activations_max: int = 64
    cells_max: int = 1_000_000
    idle_s_max: float = 900.0
    crashes_max: int = 3
    crash_period_s: float = 60.0
    rest_s_min: float = 1.0
    rest_s_max: float = 300.0
    sick_keys_max: int = 10_000

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if value < 0 or (value == 0 and name != "waiters_max"):
                raise ValueError(f"{name} must be positive, not {value!r}")
