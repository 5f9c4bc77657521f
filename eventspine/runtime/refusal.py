"""The refusals of a directory: every one counts itself and says never_ran by its class."""

from __future__ import annotations

from eventspine.contracts.errors import DeadlineExceeded, Draining, Overloaded, Quarantined
from eventspine.runtime.statistics import Counters

_RETRY_S_MIN = 0.05


class Refusals:
    """Makes the errors of one directory, so that what is refused and what is counted agree."""

    __slots__ = ("_count", "_name")

    def __init__(self, name: str, count: Counters) -> None:
        self._name = name
        self._count = count

    def overloaded(self, key: str, limit: str, maximum: int, retry_after_s: float) -> Overloaded:
        self._count.overloaded_refused += 1
        return Overloaded(
            f"{limit}={maximum} is reached at {self._name}/{key}",
            limit=limit,
            maximum=maximum,
            retry_after_s=max(_RETRY_S_MIN, retry_after_s),
        )

    def too_late(self, key: str, where: str) -> DeadlineExceeded:
        self._count.deadline_refused += 1
        return DeadlineExceeded(f"the deadline passed {where} at {self._name}/{key}", key=key)

    def draining(self, key: str) -> Draining:
        self._count.draining_refused += 1
        return Draining(f"{self._name} is draining", key=key)

    def quarantined(self, key: str, cause: str, retry_after_s: float) -> Quarantined:
        self._count.quarantined_refused += 1
        return Quarantined(
            f"{self._name}/{key} rests after {cause}",
            key=key,
            cause=cause,
            retry_after_s=retry_after_s,
        )
