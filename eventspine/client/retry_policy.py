"""When a call is tried again, and how long to wait before. Pure: no clock, no sleeping.

Rules: only what is safe is repeated. A refused call never is; one that never ran and one whose
outcome is unknown are, because every append carries ids or a key that make it the same append.
Waiting is bounded by patience: the time since the last success, not a number of attempts, because
a server that restarts takes seconds whether it is asked twice or fifty times.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from eventspine.client.errors import BadAnswer
from eventspine.contracts.errors import Deadlock, EventspineError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter, from `first_s` to at most `longest_s`.

    `patience_s`: how long one call may go on failing; 0 tries once.
    """

    patience_s: float = 30.0
    first_s: float = 0.1
    longest_s: float = 2.0
    jitter: Callable[[], float] = random.random

    def wait_s(self, attempt: int, waited_s: float, error: EventspineError) -> float | None:
        """Seconds to wait before trying again, or None to give up. `attempt` counts from 1."""
        if not worth_another_try(error) or waited_s >= self.patience_s:
            return None
        ceiling = min(self.longest_s, self.first_s * 2.0 ** min(attempt - 1, 20))
        wait = ceiling * (0.5 + self.jitter() / 2)
        asked = error.fields.get("retry_after_s")
        if isinstance(asked, int | float):
            wait = max(wait, float(asked) * (1.0 + self.jitter() / 10))
        return min(wait, max(0.0, self.patience_s - waited_s))


def has_not_run(error: EventspineError) -> bool:
    """Whether what failed has certainly changed nothing: then anything may be sent again."""
    return error.outcome == "never_ran" or error.fields.get("was_sent") is False


def worth_another_try(error: EventspineError) -> bool:
    """Whether the same call may succeed later, and may be repeated at all."""
    if isinstance(error, Deadlock):
        return False
    if isinstance(error, BadAnswer):
        return error.fields.get("status") in (408, 429, 502, 503, 504)
    return error.outcome != "refused"
