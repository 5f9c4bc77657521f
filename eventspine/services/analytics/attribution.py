"""Attribution as one statement, and what its rows say. Pure.

A conversion is shared out among the touches of its person before it, at most the window ago: all to
the first or the last of them, or the same to each. Only touches that have a value count; what has
none before it is attributed to null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventspine.contracts.analytics_query import Attribution
from eventspine.contracts.analytics_selection import column_of
from eventspine.services.analytics.grouping import finite
from eventspine.services.analytics.sql import (
    PERSON,
    Bound,
    Statement,
    column,
    conditions,
    decoded,
    number_of,
)

_OF_CONVERSION = "OVER (PARTITION BY c.sequence ORDER BY t.us {way}, t.sequence {way})"
_SHARES = {
    "first": f"CAST(row_number() {_OF_CONVERSION.format(way='ASC')} = 1 AS DOUBLE)",
    "last": f"CAST(row_number() {_OF_CONVERSION.format(way='DESC')} = 1 AS DOUBLE)",
    "linear": "1.0 / count(*) OVER (PARTITION BY c.sequence)",
}


def statement(attribution: Attribution, groups_max: int) -> Statement:
    """A row for each value: its share of the conversions, and of what they are worth."""
    bound, touch, conversion = Bound(), attribution.touch, attribution.conversion
    start, end = attribution.start, attribution.end
    value = column(attribution.by, bound)
    touches = conditions(touch, bound, events=[touch.event], end=end)
    converted = conditions(conversion, bound, events=[conversion.event], start=start, end=end)
    worth = "NULL" if attribution.value is None else number_of(attribution.value, bound)
    window = bound(round(attribution.window_s * 1_000_000))
    before = "(t.us < c.us OR (t.us = c.us AND t.sequence < c.sequence))"
    text = (
        f"WITH t AS (SELECT {PERSON} AS person, epoch_us(ts) AS us, sequence, {value} AS value"
        f" FROM events WHERE {touches} AND {value} IS NOT NULL),"
        f" c AS (SELECT {PERSON} AS person, epoch_us(ts) AS us, sequence, {worth} AS worth"
        f" FROM events WHERE {converted}),"
        f" shares AS (SELECT t.value, c.worth, {_SHARES[attribution.model]} AS share"
        f" FROM c LEFT JOIN t ON t.person = c.person AND {before} AND c.us - t.us <= {window})"
        " SELECT value, fsum(share) AS n, fsum(share * worth) FROM shares WHERE share > 0"
        f" GROUP BY value ORDER BY n DESC, value NULLS LAST LIMIT {bound(groups_max + 1)}"
    )
    return Statement(text, bound.values)


def columns(attribution: Attribution) -> list[str]:
    worth = [] if attribution.value is None else ["value"]
    return [column_of(attribution.by), "conversions", *worth]


def rows(attribution: Attribution, found: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [
        [
            decoded(attribution.by, value),
            share if attribution.model == "linear" else round(share),
            *([] if attribution.value is None else [finite(worth)]),
        ]
        for value, share, worth in found
    ]
