"""From parts of a question to SQL text and the values bound to it. Pure.

Rules: a text of a client's never becomes SQL: it is bound, as a value. What is pasted comes from
the tables of this module. A property is looked up in a map by its name, so that no path language is
in between; what the map holds is JSON text, in one spelling for each value (analytics_event.py),
so that equal texts are equal values, and the kind of a value is its first character.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from eventspine.contracts.analytics_selection import (
    RANGES,
    Condition,
    FieldColumn,
    PropertyColumn,
    Selection,
    TextCondition,
)

PERSON = "coalesce('u' || user_id, 'a' || anonymous_id)"
_FIELDS: Mapping[str, str] = {
    "event": "event",
    "user_id": "user_id",
    "anonymous_id": "anonymous_id",
    "session_id": "session_id",
}
_TRUNCATED: Mapping[str, str] = {
    unit: f"date_trunc('{unit}', ts)" for unit in ("minute", "hour", "day", "week")
}
_OPERATORS: Mapping[str, str] = dict(zip(RANGES, (">", ">=", "<", "<="), strict=True))


class Statement(NamedTuple):
    """What the engine runs; `events` in it is the relation that the engine has by that name."""

    text: str
    values: Mapping[str, Any]


class Bound:
    """The values of one statement: each is written down once and named in the text."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def __call__(self, value: Any) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f"${name}"


def truncated(unit: str) -> str:
    """The beginning of the minute, hour, day or week an event is in, in UTC."""
    return _TRUNCATED[unit]


def value_of(name: str, bound: Bound) -> str:
    """The JSON text of a property; null where there is none."""
    return f"properties[{bound(name)}]"


def number_of(name: str, bound: Bound) -> str:
    """A property where it is a number: JSON text of nothing else reads as one."""
    return f"try_cast({value_of(name, bound)} AS DOUBLE)"


def column(dimension: str | PropertyColumn | FieldColumn, bound: Bound) -> str:
    if isinstance(dimension, FieldColumn):
        return _FIELDS[dimension.field]
    name = dimension if isinstance(dimension, str) else dimension.property
    return value_of(name, bound)


def decoded(dimension: str | PropertyColumn | FieldColumn, value: str | None) -> Any:
    """What a column held, as a value."""
    if value is None or isinstance(dimension, FieldColumn):
        return value
    return orjson.loads(value)


def conditions(
    selection: Selection,
    bound: Bound,
    *,
    events: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> str:
    """What has to hold of an event, as one expression; never null."""
    tests: list[str] = []
    if start is not None:
        tests.append(f"ts >= {bound(start)}")
    if end is not None:
        tests.append(f"ts < {bound(end)}")
    if events is not None:
        tests.append(f"list_contains({_texts(events, bound)}, event)")
    for name, stated in selection.where.items():
        condition = stated if isinstance(stated, Condition) else Condition(eq=stated)
        tests += _property_tests(value_of(name, bound), condition, bound)
    for field, text in selection.fields.items():
        wanted = text if isinstance(text, TextCondition) else TextCondition(eq=text)
        tests += _field_tests(_FIELDS[field], wanted, bound)
    return f"coalesce({' AND '.join(tests)}, false)" if tests else "true"


def _property_tests(found: str, condition: Condition, bound: Bound) -> list[str]:
    tests = []
    if condition.eq is not None:
        tests.append(_is_one_of(found, [condition.eq], bound))
    if condition.in_ is not None:
        tests.append(_is_one_of(found, condition.in_, bound))
    for name, operator in _OPERATORS.items():
        limit = getattr(condition, name)
        if isinstance(limit, str):
            text = (
                f"CASE WHEN starts_with({found}, '\"') THEN json_extract_string({found}, '$') END"
            )
            tests.append(f"({text} {operator} {bound(limit)})")
        elif limit is not None:
            tests.append(f"(try_cast({found} AS DOUBLE) {operator} {bound(float(limit))})")
    return [*tests, *_existence(found, condition.exists)]


def _field_tests(found: str, condition: TextCondition, bound: Bound) -> list[str]:
    tests = []
    if condition.eq is not None:
        tests.append(f"{found} = {bound(condition.eq)}")
    if condition.in_ is not None:
        tests.append(f"list_contains({_texts(condition.in_, bound)}, {found})")
    for name, operator in _OPERATORS.items():
        limit = getattr(condition, name)
        if limit is not None:
            tests.append(f"{found} {operator} {bound(limit)}")
    return [*tests, *_existence(found, condition.exists)]


def _existence(found: str, exists: bool | None) -> list[str]:
    if exists is None:
        return []
    return [f"{found} IS NOT NULL" if exists else f"{found} IS NULL"]


def _is_one_of(found: str, values: Sequence[Any], bound: Bound) -> str:
    """The engine spells the values itself, as it has spelt those of the events."""
    texts = bound(orjson.dumps(list(values)).decode())
    return f"list_contains(CAST(from_json({texts}, '[\"JSON\"]') AS VARCHAR[]), {found})"


def _texts(values: Sequence[str], bound: Bound) -> str:
    """A list of texts; typed, since an empty one says no type."""
    return f"CAST({bound(list(values))} AS VARCHAR[])"
