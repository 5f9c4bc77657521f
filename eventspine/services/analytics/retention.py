"""Retention as one statement, and what its rows say. Pure.

A person begins in the period of the first event that matches `begin`, and is back in every period,
that one included, which has an event that matches `back`. Days and weeks are of UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventspine.contracts.analytics_query import Retention
from eventspine.services.analytics.grouping import shown_time
from eventspine.services.analytics.sql import PERSON, Bound, Statement, conditions, truncated

_PERIOD_S = {"day": 86_400, "week": 7 * 86_400}


def statement(retention: Retention, groups_max: int) -> Statement:
    """A row for each period in which people began and each behind it in which some came back."""
    bound, start, end = Bound(), retention.start, retention.end
    period, seconds = truncated(retention.period), _PERIOD_S[retention.period]
    begin, back = retention.begin, retention.back
    begins = conditions(begin, bound, events=[begin.event], start=start, end=end)
    backs = conditions(back, bound, events=[back.event], start=start, end=end)
    text = (
        f"WITH began AS (SELECT {PERSON} AS person, min({period}) AS p FROM events"
        f" WHERE {begins} AND {PERSON} IS NOT NULL GROUP BY 1),"
        f" came AS (SELECT DISTINCT {PERSON} AS person, {period} AS p FROM events WHERE {backs}),"
        " sizes AS (SELECT p, count(*) AS users FROM began GROUP BY p"
        f" ORDER BY p LIMIT {bound(groups_max + 1)}),"
        f" behind AS (SELECT began.p, CAST((epoch(came.p) - epoch(began.p)) / {seconds} AS BIGINT)"
        " AS n, count(*) AS users FROM began JOIN came USING (person)"
        f" WHERE came.p >= began.p GROUP BY 1, 2 HAVING n <= {bound(retention.periods)})"
        " SELECT sizes.p, sizes.users, n, behind.users FROM sizes LEFT JOIN behind USING (p)"
        " ORDER BY 1, 3"
    )
    return Statement(text, bound.values)


def columns(retention: Retention) -> list[str]:
    return [retention.period, "users", *(f"+{n}" for n in range(retention.periods + 1))]


def rows(retention: Retention, found: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """A row for each period in which people began: when, how many, and how many were back."""
    by_period: dict[Any, list[Any]] = {}
    for period, users, n, came in found:
        new = [shown_time(period), users, *[0] * (retention.periods + 1)]
        row = by_period.setdefault(period, new)
        if n is not None:
            row[2 + n] = came
    return list(by_period.values())
