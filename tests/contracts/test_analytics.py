"""Analytics events and questions: what is taken, what is not, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.contracts.analytics_event import (
    INT_MAX,
    INT_MIN,
    canonical,
    drafts_of,
    parse_events,
)
from eventspine.contracts.analytics_query import Attribution, Funnel, Query, Retention, asked
from eventspine.contracts.errors import InvalidAnalyticsEvent, InvalidJson, InvalidRequest


@given(st.integers(INT_MIN, INT_MAX) | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_has_one_spelling_and_stays_equal(number: float) -> None:
    found = canonical(number)
    assert found == number
    assert type(found) is type(canonical(float(found))) or float(found) != found
    assert repr(found) != "-0.0"


def test_numbers_beyond_64_bits_are_doubles_and_beyond_doubles_refused() -> None:
    assert (canonical(2**64), type(canonical(2**64))) == (2.0**64, float)
    assert (canonical(3.0), type(canonical(3.0))) == (3, int)
    for number in (float("nan"), float("inf"), 10**400):
        with pytest.raises(InvalidAnalyticsEvent):
            canonical(number)


def test_what_is_kept_of_an_event() -> None:
    body = (
        b'{"event":"a","event_id":"1","time":"2026-11-24T10:00:00.000001+02:00","user_id":"u",'
        b'"properties":{"x":1.0,"x":2.50,"n":null,"t":"\\u00e9\\n"}}'
    )
    (draft,) = drafts_of(parse_events(body), 10)
    assert (draft.event_type, draft.event_id) == ("a", "1")
    assert str(draft.ts) == "2026-11-24 08:00:00.000001+00:00"
    kept = '{"user_id":"u","properties":{"x":2.5,"n":null,"t":"é\\n"}}'
    assert bytes(draft.payload).decode() == kept


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (b'[{"event":"a"},{"event":"b","x":1}]', InvalidAnalyticsEvent, "$[1]"),
        (
            b'[{"event":"a"},{"event":"b","properties":{"q":[]}}]',
            InvalidAnalyticsEvent,
            "event 1: property 'q'",
        ),
        (
            b'{"event":"a","time":"9999-12-31T23:59:59-02:00"}',
            InvalidAnalyticsEvent,
            "time is out of range",
        ),
        (b'{"event":"a","properties":{"x":"\\ud800"}}', InvalidJson, "surrogate"),
        (b"[" * 100_000, InvalidJson, ""),
    ],
)
def test_what_is_wrong_with_an_event_is_said(body: bytes, error: Any, said: str) -> None:
    with pytest.raises(error) as raised:
        drafts_of(parse_events(body), 10)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("model", "question", "said"),
    [
        (Query, {"where": {"a": {"gt": True}}}, "where.a.gt: must be a number or a string"),
        (Query, {"where": {"a": {"zz": 1}}}, "where.a.zz: Extra inputs are not permitted"),
        (Query, {"where": {"a": {}}}, "where.a: a condition needs eq"),
        (Query, {"where": {"plain": [1]}}, "where.plain: must be a string, a number or a boolean"),
        (Query, {"where": {"": 1}}, "where."),
        (Query, {"where": {"a": "\ud800"}}, "where.a: holds a lone surrogate"),
        (Query, {"where": {"a": {"lt": "\udfff"}}}, "where.a.lt: holds a lone surrogate"),
        (Query, {"fields": {"user_id": "\ud800"}}, "fields.user_id: "),
        (Query, {"group_by": ["\ud800"]}, "group_by.0: "),
        (Query, {"where": {"a": float("inf")}}, "where.a: the number is no finite double"),
        (Query, {"fields": {"user_id": {"gt": 3}}}, "fields.user_id.gt: "),
        (Query, {"fields": {"ts": "x"}}, "fields.ts"),
        (Query, {"group_by": [{"property": "x", "q": 1}]}, "group_by.0.q: Extra inputs"),
        (
            Query,
            {"group_by": [{"field": "properties"}]},
            "group_by.0.field: Input should be 'event'",
        ),
        (Query, {"group_by": ["a", "a"]}, "two columns are called 'a'"),
        (
            Query,
            {"bucket": "day", "group_by": [{"property": "time"}]},
            "two columns are called 'time'",
        ),
        (
            Query,
            {"group_by": ["a", "event"]},
            'group_by.1: "event" may mean the event or a property: write {"field": "event"} for',
        ),
        (Query, {"group_by": ["time"]}, 'group_by.0: "time" may mean the event or a property: `bu'),
        (Query, {"group_by": ["event_id"]}, 'group_by.0: "event_id" may mean the event or a prop'),
        (Funnel, {"steps": [{"event": "a"}], "breakdown": "user_id"}, 'breakdown: "user_id" may'),
        (
            Attribution,
            {"touch": {"event": "a"}, "conversion": {"event": "b"}, "by": "session_id"},
            'by: "session_id" may mean the event or a property',
        ),
        (Query, {"order": [{"column": "1; --"}]}, "order: there is no column"),
        (Query, {"measures": [{"measure": "sum"}]}, "measures.0.property: Field required"),
        (Query, {"measures": [{"measure": "median", "property": "x"}]}, "measures.0: "),
        (Query, {"from": 1_700_000_000}, "from: must be a time"),
        (Query, {"from": "2026-11-01T00:00:00"}, "from: Input should have timezone info"),
        (Query, {"limit": 1.5}, "limit: "),
        (Funnel, {"steps": [{}]}, "steps.0.event: Field required"),
        (Funnel, {"steps": [{"event": "a"}], "window_s": 0}, "window_s: "),
        (Retention, {"begin": {"event": "a"}}, "back: Field required"),
        (Query, [1], "Input should be"),
    ],
)
def test_what_is_wrong_with_a_question_is_said(model: Any, question: Any, said: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        asked(model, question)
    assert str(raised.value).startswith(said)


def test_a_question_may_be_stated_as_json_as_values_and_as_itself() -> None:
    stated = asked(Query, b'{"limit": 3.0, "group_by": ["a", {"field": "event", "as": "b"}]}')
    assert stated == asked(Query, {"limit": 3, "group_by": ["a", {"field": "event", "as_": "b"}]})
    assert asked(Query, stated) is stated
    assert stated.columns == ["a", "b", "count"]
    for body in (b"{", b"\xff", b'{"where":' * 10_000, b'{"where":{"a":NaN}}'):
        with pytest.raises(InvalidJson):
            asked(Query, body)


def test_a_time_that_utc_does_not_have_is_refused() -> None:
    stated = asked(Query, {"from": "0001-01-01T00:00:00+02:00"})
    with pytest.raises(InvalidRequest, match="from is out of range"):
        assert stated.start
