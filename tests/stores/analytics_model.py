"""What a dataset answers, in plain Python: slow, short, and without a line of SQL."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from eventspine.contracts.analytics_event import AnalyticsEvent, canonical
from eventspine.contracts.analytics_query import (
    Attribution,
    Counting,
    Funnel,
    Percentile,
    Query,
    Retention,
)
from eventspine.contracts.analytics_selection import FieldColumn, Selection, Step

LENGTH = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
}
MONDAY = datetime(1, 1, 1, tzinfo=UTC)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def kept(value: Any) -> Any:
    return canonical(value) if is_number(value) else value


def text(value: Any) -> bytes:
    return orjson.dumps(kept(value))


def found(event: AnalyticsEvent, dimension: Any) -> Any:
    if isinstance(dimension, FieldColumn):
        return getattr(event, dimension.field)
    return kept(event.properties.get(getattr(dimension, "property", dimension)))


def person(event: AnalyticsEvent) -> tuple[str, str] | None:
    if event.user_id is not None:
        return "user", event.user_id
    return None if event.anonymous_id is None else ("anonymous", event.anonymous_id)


def holds(value: Any, condition: Any) -> bool:
    if not hasattr(condition, "exists"):
        return value is not None and text(value) == text(condition)
    if condition.exists is not None and condition.exists != (value is not None):
        return False
    stated = [] if condition.eq is None else [[condition.eq]]
    stated += [] if condition.in_ is None else [condition.in_]
    for choices in stated:
        if value is None or text(value) not in map(text, choices):
            return False
    for name, compare in COMPARE.items():
        limit = getattr(condition, name)
        if limit is None:
            continue
        if isinstance(limit, str):
            if not isinstance(value, str) or not compare(value, limit):
                return False
        elif not is_number(value) or not compare(float(value), float(limit)):
            return False
    return True


def selected(event: AnalyticsEvent, selection: Selection) -> bool:
    return all(
        holds(kept(event.properties.get(name)), one) for name, one in selection.where.items()
    ) and all(holds(getattr(event, name), one) for name, one in selection.fields.items())


def within(event: AnalyticsEvent, start: datetime | None, end: datetime | None) -> bool:
    assert event.time is not None
    return (start is None or event.time >= start) and (end is None or event.time < end)


def bucket_of(time: datetime, unit: str) -> datetime:
    return MONDAY + (time - MONDAY) // LENGTH[unit] * LENGTH[unit]


def shown(time: datetime) -> str:
    return f"{time.replace(tzinfo=None).isoformat()}Z"


def measure_of(measure: Any, events: Sequence[AnalyticsEvent]) -> Any:
    if isinstance(measure, Counting):
        people = {person(event) for event in events} - {None}
        return len(events) if measure.measure == "count" else len(people)
    values = [kept(event.properties.get(measure.property)) for event in events]
    numbers = sorted(float(value) for value in values if is_number(value))
    if not numbers:
        return None
    if isinstance(measure, Percentile):
        at = (len(numbers) - 1) * measure.percent / 100
        low, high = numbers[math.floor(at)], numbers[math.ceil(at)]
        return low + (high - low) * (at - math.floor(at))
    if measure.measure == "sum":
        return math.fsum(numbers)
    if measure.measure == "avg":
        return math.fsum(numbers) / len(numbers)
    return numbers[0] if measure.measure == "min" else numbers[-1]


def query(events: Iterable[AnalyticsEvent], asked: Query) -> list[list[Any]]:
    """Every row, in order of time and groups; `order` and `limit` are for the caller."""
    groups: dict[tuple[Any, ...], list[AnalyticsEvent]] = {}
    for event in events:
        if not (
            within(event, asked.from_, asked.to)
            and (asked.events is None or event.event in asked.events)
            and selected(event, asked)
        ):
            continue
        assert event.time is not None
        time = () if asked.bucket is None else (shown(bucket_of(event.time, asked.bucket)),)
        values = [(found(event, one), one) for one in asked.group_by]
        key = (*time, *((text(value), isinstance(one, FieldColumn)) for value, one in values))
        groups.setdefault(key, []).append(event)
    if asked.bucket is None and not asked.group_by:
        groups.setdefault((), [])
    return [
        [
            *(orjson.loads(part[0]) if isinstance(part, tuple) else part for part in key),
            *(measure_of(measure, groups[key]) for measure in asked.measures),
        ]
        for key in sorted(groups, key=lambda key: [placed(part) for part in key])
    ]


def placed(part: Any) -> Any:
    if isinstance(part, str):
        return part
    raw, is_field = part
    value = orjson.loads(raw)
    if is_field:
        return (value is None, 0.0, (value or "").encode())
    number = float(value) if is_number(value) else math.inf
    return (value is None, number, raw)


Reached = dict[bytes, list[list[float]]]


def funnel(events: Sequence[AnalyticsEvent], asked: Funnel) -> Reached:
    """For each value of the breakdown, by step: how long each person took to it, by every start."""
    window = timedelta(seconds=asked.window_s)
    people: dict[Any, list[AnalyticsEvent]] = {}
    for event in sorted(events, key=lambda one: one.time or MONDAY):  # stable: as stored
        if within(event, asked.from_, asked.to) and person(event) is not None:
            people.setdefault(person(event), []).append(event)
    groups: Reached = {}
    for theirs in people.values():
        starts = [n for n, event in enumerate(theirs) if matches(event, asked.steps[0])]
        if not starts:
            continue
        chains = [chain(theirs[n:], asked.steps, window) for n in starts]
        value = None if asked.breakdown is None else found(theirs[starts[0]], asked.breakdown)
        row = groups.setdefault(text(value), [[] for _ in asked.steps])
        for n in range(max(map(len, chains))):
            row[n].append(min(one[n] for one in chains if len(one) > n))
    return groups


def chain(theirs: list[AnalyticsEvent], steps: list[Step], window: timedelta) -> list[float]:
    """Seconds to each step of the chain that begins here: each event is a step if it can be."""
    began, took = theirs[0].time, [0.0]
    for event in theirs[1:]:
        assert event.time is not None
        assert began is not None
        past = event.time - began
        if len(took) < len(steps) and matches(event, steps[len(took)]) and past <= window:
            took.append(past.total_seconds())
    return took


def matches(event: AnalyticsEvent, step: Step) -> bool:
    return event.event == step.event and selected(event, step)


def retention(events: Sequence[AnalyticsEvent], asked: Retention) -> list[list[Any]]:
    began: dict[Any, datetime] = {}
    came: dict[Any, set[datetime]] = {}
    for event in events:
        who = person(event)
        if who is None or not within(event, asked.from_, asked.to):
            continue
        assert event.time is not None
        period = bucket_of(event.time, asked.period)
        if matches(event, asked.begin):
            began[who] = min(period, began.get(who, period))
        if matches(event, asked.back):
            came.setdefault(who, set()).add(period)
    return [
        [
            shown(start),
            sum(period == start for period in began.values()),
            *(
                sum(
                    n * LENGTH[asked.period] in {day - start for day in came.get(who, ())}
                    for who, period in began.items()
                    if period == start
                )
                for n in range(asked.periods + 1)
            ),
        ]
        for start in sorted(set(began.values()))
    ]


def attribution(events: Sequence[AnalyticsEvent], asked: Attribution) -> dict[bytes, list[float]]:
    """For each value its shares of conversions, and of what they are worth, one by one."""
    in_order = sorted(events, key=lambda one: one.time or MONDAY)  # stable: as stored
    window = timedelta(seconds=asked.window_s)
    shares: dict[bytes, list[float]] = {}
    for n, event in enumerate(in_order):
        if not (within(event, asked.from_, asked.to) and matches(event, asked.conversion)):
            continue
        assert event.time is not None
        touches = [
            found(one, asked.by)
            for one in in_order[:n]
            if matches(one, asked.touch)
            and found(one, asked.by) is not None
            and None is not person(one) == person(event)
            and event.time - (one.time or MONDAY) <= window
        ]
        chosen = {"first": touches[:1], "last": touches[-1:], "linear": touches}[asked.model]
        for value in chosen or [None]:
            row = shares.setdefault(text(value), [0.0, 0.0])
            row[0] += 1 / len(chosen or [None])
            worth = event.properties.get(asked.value or "")
            row[1] += float(worth or 0) / len(chosen or [None]) if is_number(worth) else 0.0
    return shares
