"""A query as one statement, and its rows as they are answered. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from eventspine.contracts.analytics_query import (
    Counting,
    Percentile,
    Query,
    Summary,
)
from eventspine.contracts.analytics_selection import FieldColumn
from eventspine.services.analytics.sql import (
    PERSON,
    Bound,
    Statement,
    column,
    conditions,
    decoded,
    number_of,
    truncated,
)

# fsum: the order in which threads add must not show in the last digits
_SUMMARIES = {"sum": "fsum", "avg": "favg", "min": "min", "max": "max"}


def statement(query: Query, rows_max: int) -> Statement:
    """One row more than `rows_max` is asked for, to tell whether there are more."""
    bound = Bound()
    groups = [] if query.bucket is None else [truncated(query.bucket)]
    groups += [column(dimension, bound) for dimension in query.group_by]
    measures = [_measure(measure, bound) for measure in query.measures]
    wanted = [f"{text} AS c{n}" for n, text in enumerate([*groups, *measures])]
    where = conditions(query, bound, events=query.events, start=query.start, end=query.end)
    keys = ", ".join(str(n) for n in range(1, len(groups) + 1))
    text = (
        f"SELECT {', '.join(wanted)} FROM events WHERE {where}"
        f"{f' GROUP BY {keys}' if groups else ''}"
        f" ORDER BY {', '.join(_order(query))} LIMIT {bound(rows_max + 1)}"
    )
    return Statement(text, bound.values)


def _measure(measure: Counting | Summary | Percentile, bound: Bound) -> str:
    if isinstance(measure, Counting):
        return "count(*)" if measure.measure == "count" else f"count(DISTINCT {PERSON})"
    number = number_of(measure.property, bound)
    if isinstance(measure, Percentile):
        return f"quantile_cont({number}, {bound(measure.percent / 100)})"
    return f"{_SUMMARIES[measure.measure]}({number})"


def _order(query: Query) -> list[str]:
    """As stated, then time and groups upwards, so that the same question has the same answer."""
    columns = query.columns
    first = 0 if query.bucket is None else 1
    groups = first + len(query.group_by)
    properties = {
        n for n, one in enumerate(query.group_by, first) if not isinstance(one, FieldColumn)
    }
    stated = [(columns.index(one.column), one.descending) for one in query.order]
    texts = []
    for n, descending in [*stated, *((n, False) for n in range(groups))]:
        way = "DESC NULLS LAST" if descending else "ASC NULLS LAST"
        if n in properties:  # numbers by value, and before what is none
            texts.append(f"try_cast(c{n} AS DOUBLE) {way}")
        texts.append(f"c{n} {way}")
    return texts or ["1"]


def rows(query: Query, found: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The rows with the values of JSON."""
    times = 0 if query.bucket is None else 1
    groups = times + len(query.group_by)
    return [
        [
            *(shown_time(value) for value in row[:times]),
            *(decoded(d, v) for d, v in zip(query.group_by, row[times:groups], strict=True)),
            *(finite(value) for value in row[groups:]),
        ]
        for row in found
    ]


def finite(value: Any) -> Any:
    """A sum may leave the doubles; then there is nothing to say."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


def shown_time(time: datetime) -> str:
    return f"{time.isoformat()}Z"
