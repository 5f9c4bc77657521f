"""Points and windows of metrics: what the metrics store takes and answers.

Times are ISO 8601 in UTC with milliseconds outside, and whole milliseconds since 1970 inside.
Source: FN-13, FLD-25, KIND-10.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from eventspine.contracts.errors import InvalidRequest

Number = int | float
Fill = Literal["none", "null", "zero", "previous"]
Tier = Literal["raw", "1m", "1h", "1d"]
FILLS: tuple[Fill, ...] = ("none", "null", "zero", "previous")
TIERS: tuple[Tier, ...] = ("raw", "1m", "1h", "1d")

VALUE_MAX = 1e300  # a sum of very many still is a double
AGGREGATES = ("sum", "avg", "min", "max", "count", "last", "rate")
_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,6})?|100)", re.ASCII)
_MS_MAX = 253_402_300_799_999  # the last millisecond of the year 9999


class Point(NamedTuple):
    """One value of a metric, as it is stored."""

    metric_name: str
    value: Number
    ts: str
    tags: Mapping[str, str]
    source: str | None = None

    def as_json(self) -> dict[str, Any]:
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Window:
    """What the points from `start` on, one step long, add up to. `count`: how many they are."""

    start: str
    value: Number | None
    count: int


class Windows(NamedTuple):
    """Windows in the order of time.

    `start`, `end`: what was asked for, widened to whole steps. `tier`: what they were read from.
    `complete`: whether all points from `start` on are still in that tier.
    """

    metric_name: str
    aggregate: str
    start: str
    end: str
    step_s: Number
    tier: Tier
    complete: bool
    windows: list[Window]

    def as_json(self) -> dict[str, Any]:
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Group:
    """Windows of the series that have these values of the tags; "" is a series without the tag."""

    tags: Mapping[str, str]
    windows: list[Window]


class Grouped(NamedTuple):
    """`Windows`, of several groups of series; groups in the order of their tags."""

    metric_name: str
    aggregate: str
    start: str
    end: str
    step_s: Number
    tier: Tier
    complete: bool
    groups: list[Group]

    def as_json(self) -> dict[str, Any]:
        return self._asdict()


class Aggregate(NamedTuple):
    """One of AGGREGATES, or a percentile: then `rank` is between 0 and 1."""

    name: str
    rank: float | None = None

    @staticmethod
    def of(text: str) -> Aggregate:
        """`sum`, `p99`, `p99.9`. Raises InvalidRequest."""
        if text in AGGREGATES:
            return Aggregate(text)
        found = _PERCENTILE.fullmatch(text)
        if found is None:
            raise InvalidRequest(
                f"agg must be one of {', '.join(AGGREGATES)}, or a percentile as p50 or p99.9",
                parameter="agg",
            )
        return Aggregate(text, float(found[1]) / 100)


class Question(NamedTuple):
    """Windows that are asked for. `step_ms` None: one that suits the range.

    `group_by`: tags; series with the same values of them are one group.
    """

    start_ms: int
    end_ms: int
    step_ms: int | None
    aggregate: Aggregate
    tags: Mapping[str, str]
    tier: Tier | None = None
    fill: Fill = "null"
    group_by: tuple[str, ...] = ()


def checked_value(value: object) -> Number:
    """`value` if it can be one of a metric. Raises InvalidRequest."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest("value must be a number", parameter="value")
    if not (math.isfinite(value) if isinstance(value, float) else value.bit_length() < 64):
        raise InvalidRequest(
            "value must be finite, and an integer must have at most 64 bits", parameter="value"
        )
    if abs(value) > VALUE_MAX:
        raise InvalidRequest(f"value must be at most {VALUE_MAX:g} in size", parameter="value")
    return value


def unix_ms(text: str, name: str) -> int:
    """The milliseconds of an ISO 8601 time with a zone. Raises InvalidRequest."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("no zone")
        return checked_ms(at.timestamp() * 1000, name)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{name} must be a time as 2026-11-24T10:00:00Z, with its zone", parameter=name
        ) from None


def checked_ms(ms: float, name: str) -> int:
    """Whole milliseconds from 1970 to 9999. Raises InvalidRequest."""
    if not 0 <= ms <= _MS_MAX:
        raise InvalidRequest(f"{name} must be between the years 1970 and 9999", parameter=name)
    return round(ms)


def iso(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:03d}Z"
