"""A funnel as one statement, and what its rows say. Pure.

A person takes step k with an event that comes after one of step k-1 whose chain began at most the
window ago. For each event of step k the chain that began last is kept, since it ends last; so one
pass a step over a person's events, in order of time, finds whether there is any chain at all.
Two events at the same time are in the order in which they were stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventspine.contracts.analytics_query import Funnel
from eventspine.contracts.analytics_selection import Selection, column_of
from eventspine.services.analytics.sql import (
    PERSON,
    Bound,
    Statement,
    column,
    conditions,
    decoded,
)

COLUMNS = ("step", "event", "users", "of_first", "of_previous", "median_s")
_BEFORE = (
    "(PARTITION BY person ORDER BY us, sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
)


def statement(funnel: Funnel, groups_max: int) -> Statement:
    """A row for each group: its value, the people at each step, the median seconds to it."""
    bound, steps = Bound(), range(1, len(funnel.steps) + 1)
    counts = ", ".join(f"count(d{n})" for n in steps)
    medians = ", ".join(f"quantile_cont(d{n} / 1e6, 0.5)" for n in steps)
    window = bound(round(funnel.window_s * 1_000_000)) if len(steps) > 1 else ""
    parts = [
        f"marked AS ({_marked(funnel, bound)})",
        "r1 AS (SELECT *, CASE WHEN s1 THEN us END AS t1 FROM marked)",
        *(_step(n, window) for n in steps[1:]),
        f"people AS ({_people(steps)})",
    ]
    text = (
        f"WITH {', '.join(parts)} SELECT value, {counts}, {medians} FROM people"
        f" GROUP BY value ORDER BY 2 DESC, value NULLS LAST LIMIT {bound(groups_max + 1)}"
    )
    return Statement(text, bound.values)


def _marked(funnel: Funnel, bound: Bound) -> str:
    """Events that are a step or several, with their time in microseconds."""
    within = conditions(Selection(), bound, start=funnel.start, end=funnel.end)
    tests = [conditions(step, bound, events=[step.event]) for step in funnel.steps]
    marks = ", ".join(f"{test} AS s{n}" for n, test in enumerate(tests, 1))
    some = " OR ".join(f"s{n}" for n in range(1, len(tests) + 1))
    value = "NULL" if funnel.breakdown is None else column(funnel.breakdown, bound)
    return (
        f"SELECT {PERSON} AS person, epoch_us(ts) AS us, sequence, {value} AS value, {marks}"
        f" FROM events WHERE {within} AND {PERSON} IS NOT NULL AND ({some})"
    )


def _step(n: int, window: str) -> str:
    """`tn`: when the latest chain began that the event takes to step n."""
    return (
        f"l{n} AS (SELECT *, max(t{n - 1}) OVER {_BEFORE} AS b{n} FROM r{n - 1}),"
        f" r{n} AS (SELECT *, CASE WHEN s{n} AND us - b{n} <= {window} THEN b{n} END AS t{n}"
        f" FROM l{n})"
    )


def _people(steps: range) -> str:
    """Who began: the group of the first time, and how long each step took at best."""
    took = ", ".join(f"min(us - t{n}) AS d{n}" for n in steps)
    return (
        f"SELECT first(value ORDER BY us, sequence) FILTER (WHERE s1) AS value, {took}"
        f" FROM r{steps[-1]} GROUP BY person HAVING d1 IS NOT NULL"
    )


def columns(funnel: Funnel) -> list[str]:
    group = [] if funnel.breakdown is None else [column_of(funnel.breakdown)]
    return [*group, *COLUMNS]


def rows(funnel: Funnel, found: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """A row for each step of each group; without a breakdown also for nobody at all."""
    count = len(funnel.steps)
    if not found and funnel.breakdown is None:
        found = [(None, *[0] * count, *[None] * count)]
    return [
        [
            *([] if funnel.breakdown is None else [decoded(funnel.breakdown, row[0])]),
            n + 1,
            step.event,
            row[1 + n],
            _share(row[1 + n], row[1]),
            _share(row[1 + n], row[max(n, 1)]),
            row[1 + count + n],
        ]
        for row in found
        for n, step in enumerate(funnel.steps)
    ]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
