"""Answers of DuckDB beside those of plain Python, for any events and any question."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventspine.actors.append import Stamp, line_of
from eventspine.contracts.analytics_event import AnalyticsEvent, drafts_of
from eventspine.contracts.analytics_query import Attribution, Funnel, Query, Retention, asked
from eventspine.contracts.limits import Limits
from eventspine.contracts.wire import WallClock
from eventspine.services.analytics import attribution, funnel, grouping, retention
from eventspine.services.analytics.engine import open_engine
from eventspine.services.analytics.sql import Statement
from tests.inner import examples
from tests.stores import analytics_model as model

LIMITS = Limits()
ROWS = 1000
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
HOSTILE = [
    "a",
    "'",
    '"',
    "x'y",
    'a"]',
    "$.a",
    "a.b",
    "*",
    "; DROP TABLE lines; --",
    "é/ä",
    "\\",
    "%s",
]
NAMES = st.sampled_from(HOSTILE)
NUMBERS = st.sampled_from(
    [
        0,
        1,
        -1,
        2,
        10,
        1.5,
        -0.0,
        1e300,
        -2.5e-300,
        2**53,
        2**53 + 1,
        2**63,
        2**64 - 1,
        -(2**63),
        3.0,
    ]
)
TEXTS = st.sampled_from(
    ["", "1", "true", "null", "a", "Z", "z'--", '"', "\\", "é", "\u2028", "\x7f", "\x00a"]
)
VALUES = st.one_of(NUMBERS, TEXTS, st.booleans())
EVENTS = st.sampled_from(["view", "sign'up", "buy; --"])
PEOPLE = st.none() | st.sampled_from(["u1", "u2", "3"])
ENDS = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]
TIMES = st.one_of(
    st.integers(0, 20).map(lambda n: BEGIN + timedelta(hours=9 * n, microseconds=n)),
    st.sampled_from(ENDS),
)
ONE = st.builds(
    AnalyticsEvent,
    event=EVENTS,
    time=TIMES,
    user_id=PEOPLE,
    anonymous_id=PEOPLE,
    session_id=st.none() | st.sampled_from(["s1", "10", "9"]),
    properties=st.dictionaries(NAMES, st.none() | VALUES, max_size=4),
)
MANY = st.lists(ONE, max_size=30)


def conditions(values: st.SearchStrategy[Any], limits: st.SearchStrategy[Any]) -> Any:
    return values | st.fixed_dictionaries(
        {"exists": st.none() | st.booleans(), "in": st.none() | st.lists(values, max_size=3)},
        optional={"eq": values, "gt": limits, "gte": limits, "lt": limits, "lte": limits},
    ).filter(lambda one: any(value is not None for value in one.values()))


WHERE = st.dictionaries(NAMES, conditions(VALUES, NUMBERS | TEXTS), max_size=2)
FIELDS = st.dictionaries(
    st.sampled_from(["event", "user_id", "anonymous_id", "session_id"]),
    conditions(TEXTS | PEOPLE.filter(bool), TEXTS),
    max_size=1,
)
DIMENSIONS = st.one_of(
    NAMES,
    NAMES.map(lambda name: {"property": name}),
    st.sampled_from(["event", "user_id", "session_id"]).map(lambda name: {"field": name}),
)
RANGE = {"from": st.none() | TIMES, "to": st.none() | TIMES}
MEASURES = st.one_of(
    st.sampled_from([{"measure": "count"}, {"measure": "users"}]),
    st.builds(
        lambda name, verb: {"measure": verb, "property": name},
        NAMES,
        st.sampled_from(["sum", "avg", "min", "max"]),
    ),
    st.builds(
        lambda name, percent: {"measure": "percentile", "property": name, "percent": percent},
        NAMES,
        st.sampled_from([0, 50, 95, 99.9, 100]),
    ),
)
STEPS = st.fixed_dictionaries({"event": EVENTS, "where": WHERE})


@st.composite
def queries(draw: st.DrawFn) -> Query:
    groups = draw(st.lists(DIMENSIONS, max_size=3))
    measures = draw(st.lists(MEASURES, min_size=1, max_size=3))
    named = [
        {**({"property": one} if isinstance(one, str) else one), "as": f"g{n}"}
        for n, one in enumerate(groups)
    ]
    return asked(
        Query,
        {
            **{name: draw(strategy) for name, strategy in RANGE.items()},
            "events": draw(st.none() | st.lists(EVENTS, max_size=2)),
            "where": draw(WHERE),
            "fields": draw(FIELDS),
            "bucket": draw(st.none() | st.sampled_from(["minute", "hour", "day", "week"])),
            "group_by": named,
            "measures": [{**one, "as": f"m{n}"} for n, one in enumerate(measures)],
        },
    )


def lines_of(events: Sequence[AnalyticsEvent]) -> list[bytes]:
    stamp, now = Stamp("lab", b"{}", {}), WallClock().read()
    return [
        line_of(1, n, draft, stamp, now, b'"stream_id":"events","routing":{},', 10**6)
        for n, draft in enumerate(drafts_of(events, 100), 1)
    ]


async def _answered(
    lines: Sequence[bytes], in_files: int, statement: Statement, folder: Path
) -> list[tuple[Any, ...]]:
    files = []
    for n in range(0, in_files, 7):
        builder = await open_engine(LIMITS)
        path = folder / f"it's {n}.parquet"
        path.write_bytes(await builder.parquet(lines[n : min(n + 7, in_files)]))
        files.append(path)
        await builder.aclose()
    engine = await open_engine(LIMITS)
    try:
        await engine.load(lines[in_files:])
        return await engine.ask(statement, files)
    finally:
        await engine.aclose()


def answered(events: list[AnalyticsEvent], in_files: int, statement: Statement) -> Any:
    with TemporaryDirectory() as folder:
        lines = lines_of(events)
        return anyio.run(_answered, lines, min(in_files, len(lines)), statement, Path(folder))


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return bool(ours == pytest.approx(theirs, rel=1e-9))
    return type(ours) is type(theirs) and bool(ours == theirs)


@settings(max_examples=examples(80), print_blob=True)
@given(MANY, st.sampled_from([0, 0, 20]), queries())
def test_a_query_says_what_plain_python_says(
    events: list[AnalyticsEvent], in_files: int, query: Query
) -> None:
    found = grouping.rows(query, answered(events, in_files, grouping.statement(query, ROWS)))
    wanted = model.query(events, query)
    assert len(found) == len(wanted), (found, wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert len(ours) == len(theirs)
        assert all(map(same, ours, theirs)), (ours, theirs)


@settings(max_examples=examples(60), print_blob=True)
@given(
    MANY,
    st.sampled_from([0, 0, 20]),
    st.builds(
        lambda steps, window, value, span: asked(
            Funnel, {"steps": steps, "window_s": window, "breakdown": value, **span}
        ),
        st.lists(STEPS, min_size=1, max_size=4),
        st.sampled_from([1, 9 * 3600, 100_000.5, 10**7]),
        st.none() | DIMENSIONS,
        st.fixed_dictionaries(RANGE),
    ),
)
def test_a_funnel_says_what_trying_every_start_says(
    events: list[AnalyticsEvent], in_files: int, asked_for: Funnel
) -> None:
    found = answered(events, in_files, funnel.statement(asked_for, ROWS))
    rows = funnel.rows(asked_for, found)
    groups: dict[bytes, list[tuple[int, Any]]] = {}
    for row in rows:
        value = None if asked_for.breakdown is None else row[0]
        groups.setdefault(model.text(value), []).append((row[-4], row[-1]))
    wanted = model.funnel(events, asked_for)
    if asked_for.breakdown is None:
        wanted = wanted or {b"null": [[] for _ in asked_for.steps]}
    assert groups.keys() == wanted.keys()
    for value, steps in wanted.items():
        for (users, half_s), took in zip(groups[value], steps, strict=True):
            assert users == len(took)
            assert half_s == (pytest.approx(median(took)) if took else None)


@settings(max_examples=examples(40), print_blob=True)
@given(
    MANY,
    st.builds(
        lambda begin, back, period, periods, span: asked(
            Retention, {"begin": begin, "back": back, "period": period, "periods": periods, **span}
        ),
        STEPS,
        STEPS,
        st.sampled_from(["day", "week"]),
        st.integers(1, 4),
        st.fixed_dictionaries(RANGE),
    ),
)
def test_retention_says_what_counting_says(
    events: list[AnalyticsEvent], asked_for: Retention
) -> None:
    found = answered(events, 0, retention.statement(asked_for, ROWS))
    assert retention.rows(asked_for, found) == model.retention(events, asked_for)


@settings(max_examples=examples(50), print_blob=True)
@given(
    MANY,
    st.builds(
        lambda touch, conversion, by, model_of, window, value, span: asked(
            Attribution,
            {
                "touch": touch,
                "conversion": conversion,
                "by": by,
                "model": model_of,
                "window_s": window,
                "value": value,
                **span,
            },
        ),
        STEPS,
        STEPS,
        DIMENSIONS,
        st.sampled_from(["first", "last", "linear"]),
        st.sampled_from([1, 9 * 3600, 100_000.5, 10**7]),
        st.none() | NAMES,
        st.fixed_dictionaries(RANGE),
    ),
)
def test_attribution_says_what_going_back_from_each_conversion_says(
    events: list[AnalyticsEvent], asked_for: Attribution
) -> None:
    found = answered(events, 0, attribution.statement(asked_for, ROWS))
    rows = {model.text(row[0]): row[1:] for row in attribution.rows(asked_for, found)}
    wanted = model.attribution(events, asked_for)
    assert rows.keys() == wanted.keys()
    for value, (share, *worth) in rows.items():
        assert share == pytest.approx(wanted[value][0])
        if asked_for.value is None:
            assert worth == []
        else:
            assert (worth[0] or 0.0) == pytest.approx(wanted[value][1], rel=1e-9)


def test_order_and_limit() -> None:
    events = [
        AnalyticsEvent("view", time=BEGIN, user_id="u", properties={"p": value})
        for value in (10, 9, 10, "b", None, True, 9.0, 10, "a")
    ]
    plain = asked(Query, {"group_by": ["p"]})
    rows = partial(answered, events, 0)
    in_order = [[9, 2], [10, 3], ["a", 1], ["b", 1], [True, 1], [None, 1]]
    assert grouping.rows(plain, rows(grouping.statement(plain, ROWS))) == in_order
    most = asked(Query, {"group_by": ["p"], "order": [{"column": "count", "descending": True}]})
    found = grouping.rows(most, rows(grouping.statement(most, 2)))
    assert found == [[10, 3], [9, 2], ["a", 1]], "one more than asked for tells that there are more"
    down = asked(Query, {"group_by": ["p"], "order": [{"column": "p", "descending": True}]})
    found = grouping.rows(down, rows(grouping.statement(down, ROWS)))
    assert [row[0] for row in found] == [10, 9, True, "b", "a", None]
