"""Restart arithmetic: what an exit means, whom it takes along, when to start again. No clock.

Job: every decision of a supervisor as a function of its arguments.
Rules: OTP's words and window: more than `intensity` restarts within `period_s` is one too many.
Back-off is exponential with full jitter, uniform between 0 and the bound, which spreads best
(AWS "Exponential backoff and jitter"). An outage is not a crash: it spends nothing. Fatal beats
outage beats crash. In a group the worst member decides.
Source: DESIGN decision 4; OTP "Supervision Principles", restart intensity and period.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
Restart = Literal["permanent", "transient", "temporary"]
Verdict = Literal["leave", "restart", "wait_out", "escalate"]
Errors = tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Bounds of the pause before a restart, in seconds."""

    base_s: float = 0.1
    cap_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.base_s <= self.cap_s:
            raise ValueError("back-off needs 0 < base_s <= cap_s")

    def bound_s(self, failures: int) -> float:
        """Longest pause after `failures` (1, 2, …) failures in a row."""
        return float(min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 64)))

    def pause_s(self, failures: int, rng: random.Random) -> float:
        return rng.uniform(0.0, self.bound_s(failures))


class Budget:
    """At most `intensity` restarts within any `period_s`."""

    __slots__ = ("_spent_at", "intensity", "period_s")

    def __init__(self, intensity: int, period_s: float) -> None:
        if intensity < 0 or period_s <= 0:
            raise ValueError("a budget needs intensity >= 0 and period_s > 0")
        self.intensity = intensity
        self.period_s = period_s
        self._spent_at: deque[float] = deque()

    def spend(self, now: float) -> bool:
        """Count one restart; False when it is one too many."""
        self._forget_before(now - self.period_s)
        self._spent_at.append(now)
        return len(self._spent_at) <= self.intensity

    def left(self, now: float) -> int:
        self._forget_before(now - self.period_s)
        return max(0, self.intensity - len(self._spent_at))

    def _forget_before(self, time: float) -> None:
        while self._spent_at and self._spent_at[0] < time:
            self._spent_at.popleft()


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group, however deep; an error that is no group by itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def sole(error: BaseException) -> BaseException:
    """The one error in a group of one, so that a cause reads as what happened."""
    found = list(leaves(error))
    return found[0] if len(found) == 1 else error


def verdict(
    restart: Restart, error: BaseException | None, *, fatal: Errors = (), outage: Errors = ()
) -> Verdict:
    """What the end of a child means; `error` None is a normal end."""
    if error is None:
        return "restart" if restart == "permanent" else "leave"
    found = list(leaves(error))
    if any(isinstance(one, fatal) for one in found):
        return "escalate"
    if restart == "temporary":
        return "leave"
    if all(isinstance(one, outage) for one in found):
        return "wait_out"
    return "restart"


def affected(strategy: Strategy, failed: int, count: int) -> range:
    """Places of the children that go down and up again with the one at `failed`."""
    match strategy:
        case "one_for_one":
            return range(failed, failed + 1)
        case "rest_for_one":
            return range(failed, count)
        case "one_for_all":
            return range(count)
