"""Which keys crashed too often, and how long each rests. No clock, no loop: `now` is passed in.

Job: one poisoned key costs its own callers a quick refusal and nobody else anything.
Rules: N crashes within a period start a rest; after the rest one turn is the trial, its crash
starts a rest twice as long, its success ends the quarantine. How often a key rested is forgotten
after a period without a crash. An EventspineError is an answer and an outage is not the key's
fault: neither is a crash. Only keys that crashed are recorded, a bounded number of them.
Source: DESIGN decision 4; OTP restart intensity, with the half-open retry of a circuit breaker.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from eventspine.contracts.errors import EventspineError
from eventspine.runtime.limits import DirectoryLimits


def is_crash(error: BaseException) -> bool:
    """True for a bug, False for an answer (EventspineError) and for a cancellation.

    A group is a crash when anything in it is: on trio a crash that races a cancellation arrives
    as `BaseExceptionGroup[crash, Cancelled]`.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(is_crash(inner) for inner in error.exceptions)
    return isinstance(error, Exception) and not isinstance(error, EventspineError)


@dataclass(slots=True)
class Sickness:
    """Crash record of one key. Times are of the loop's clock, in seconds.

    `well_since_s` is its last crash or passed trial: where good behaviour counts from.
    """

    cause: str = ""
    crashes: deque[float] = field(default_factory=deque)
    rests: int = 0
    rests_until: float = 0.0
    on_trial: bool = False
    well_since_s: float = 0.0


class Quarantine:
    """The crash records of one directory."""

    def __init__(self, limits: DirectoryLimits) -> None:
        self._limits = limits
        self.sick: dict[str, Sickness] = {}

    def rest_left_s(self, key: str, now: float) -> float:
        """Seconds until the next trial of `key`; 0.0 when it may have a turn."""
        record = self.sick.get(key)
        return 0.0 if record is None else max(0.0, record.rests_until - now)

    def crashed(self, key: str, cause: str, now: float) -> None:
        record = self.sick.pop(key, None) or Sickness()
        self.sick[key] = record  # last crashed is last in the dict: the oldest is forgotten first
        if len(self.sick) > self._limits.sick_keys_max:
            del self.sick[next(iter(self.sick))]
        record.cause = cause
        if now < record.rests_until:  # a late report of what the rest is for already
            return
        if not record.on_trial and self._is_old(record, now):
            record.rests = 0
        record.well_since_s = now
        record.crashes.append(now)
        while record.crashes[0] < now - self._limits.crash_period_s:
            record.crashes.popleft()
        if record.on_trial or len(record.crashes) >= self._limits.crashes_max:
            self._rest(record, now)

    def succeeded(self, key: str, now: float) -> None:
        """A turn of a recorded key ended without a crash: a trial is passed."""
        record = self.sick.get(key)
        if record is None or now < record.rests_until:
            return
        if record.on_trial:
            record.on_trial = False
            record.well_since_s = now
        elif self._is_old(record, now):
            del self.sick[key]

    def resting(self, now: float) -> int:
        return sum(record.rests_until > now for record in self.sick.values())

    def _rest(self, record: Sickness, now: float) -> None:
        rest_s = self._limits.rest_s_min * 2.0 ** min(record.rests, 64)
        record.rests += 1
        record.rests_until = now + min(rest_s, self._limits.rest_s_max)
        record.on_trial = True
        record.crashes.clear()

    def _is_old(self, record: Sickness, now: float) -> bool:
        return record.well_since_s < now - self._limits.crash_period_s
