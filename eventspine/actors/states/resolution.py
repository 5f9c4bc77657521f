"""Which tier answers a range of time, and in which steps. Pure.

Rules: a step is a whole number of the buckets it is made of, and windows begin at multiples of the
step since 1970, so that every bucket is in one window. The coarsest tier that fits is read, because
it has the least to read and reaches furthest back. Without a step the finest one is taken that
gives no more than AUTO_WINDOWS windows and whose tier still has the whole range.
Source: KIND-10; "automatic choice of resolution per range" is what users of others ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from eventspine.contracts.errors import InvalidRequest, TooLarge
from eventspine.contracts.metrics import Question, Tier

_S = 1000
MINUTE, HOUR, DAY = 60 * _S, 3600 * _S, 86_400 * _S
SPANS: dict[Tier, int] = {"raw": 1, "1m": MINUTE, "1h": HOUR, "1d": DAY}
STEPS = (
    *(_S, 5 * _S, 15 * _S),
    *(MINUTE, 5 * MINUTE, 15 * MINUTE),
    *(HOUR, 6 * HOUR),
    *(DAY, 7 * DAY, 30 * DAY),
)
AUTO_WINDOWS = 300


class Resolution(NamedTuple):
    """Windows of `step_ms` from `start_ms` to before `end_ms`, read from a tier."""

    tier: Tier
    step_ms: int
    start_ms: int
    end_ms: int

    @property
    def windows(self) -> int:
        return (self.end_ms - self.start_ms) // self.step_ms


def resolution(
    question: Question, kept_from: Callable[[Tier], int], windows_max: int
) -> Resolution:
    """What to read for a question. `kept_from`: since when a tier has everything.

    Raises:
        InvalidRequest: the range is empty, or the step is not made of whole buckets of the tier.
        TooLarge: more than `windows_max` windows.
    """
    if question.end_ms <= question.start_ms:
        raise InvalidRequest("end must be after start", parameter="end")
    chosen = _stated(question) if question.step_ms is not None else _suiting(question, kept_from)
    if chosen.windows > windows_max:
        raise TooLarge(
            f"{chosen.windows} windows; ask for a larger step or a shorter range",
            limit="metrics_windows_max",
            maximum=windows_max,
            actual=chosen.windows,
        )
    return chosen


def _stated(question: Question) -> Resolution:
    step_ms = question.step_ms
    assert step_ms is not None, "only asked when a step is stated"
    if step_ms < 1:
        raise InvalidRequest("step must be above 0", parameter="step")
    if question.tier is not None and step_ms % SPANS[question.tier]:
        raise InvalidRequest(
            f"step must be a multiple of the tier, which is {question.tier}", parameter="step"
        )
    return _aligned(question, step_ms)


def _suiting(question: Question, kept_from: Callable[[Tier], int]) -> Resolution:
    candidates = list(_candidates(question))
    for one in candidates:
        covered = question.tier is not None or kept_from(one.tier) <= one.start_ms
        if covered and one.windows <= AUTO_WINDOWS:
            return one
    return candidates[-1]


def _candidates(question: Question) -> Iterator[Resolution]:
    span = 1 if question.tier is None else SPANS[question.tier]
    for step_ms in STEPS:
        if step_ms % span == 0:
            yield _aligned(question, step_ms)


def _aligned(question: Question, step_ms: int) -> Resolution:
    tier = question.tier or _coarsest(step_ms)
    start_ms = question.start_ms - question.start_ms % step_ms
    return Resolution(tier, step_ms, start_ms, -(-question.end_ms // step_ms) * step_ms)


def _coarsest(step_ms: int) -> Tier:
    return next(tier for tier in ("1d", "1h", "1m", "raw") if step_ms % SPANS[tier] == 0)
