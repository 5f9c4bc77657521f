"""The operations of the analytics store, for /openapi.json."""

from __future__ import annotations

from typing import Any

from eventspine.api.operation import BODY, OWNER, WRITING, Described, Operation, array, member
from eventspine.api.parameters import id_schema
from eventspine.contracts.analytics_query import (
    BUCKETS,
    EVENTS_MAX,
    GROUPS_MAX,
    MEASURES_MAX,
    MODELS,
    PERIOD_NAMES,
    PERIODS,
    PERIODS_MAX,
    STEPS_MAX,
    TOUCH_WINDOW_S,
    WINDOW_S,
    WINDOW_S_MAX,
)
from eventspine.contracts.analytics_selection import AMBIGUOUS, CHOICES_MAX, CONDITIONS_MAX, FIELDS
from eventspine.contracts.limits import Limits

Schema = dict[str, Any]
_LIMITS = Limits()
_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_ID = id_schema()
_VALUE: Schema = {"type": ["string", "number", "boolean"]}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _condition(value: Schema, limit: Schema) -> Schema:
    """One that says something: `null` says nothing."""
    several = {"type": "array", "items": value, "maxItems": CHOICES_MAX}
    parts = {"eq": value, "in": several, "gt": limit, "gte": limit, "lt": limit, "lte": limit}
    stated = _object(**parts, exists={"type": "boolean"})
    return {"anyOf": [value, {**stated, "minProperties": 1}]}


_EVENT = _object(
    ("event",),
    event=_ID,
    event_id=_maybe(_ID),
    time=_maybe(_TIME),
    user_id=_maybe(_ID),
    anonymous_id=_maybe(_ID),
    session_id=_maybe(_ID),
    properties={
        "type": "object",
        "propertyNames": _ID,
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        "maxProperties": _LIMITS.analytics_properties_max,
    },
)
_SELECTION: dict[str, Schema] = {
    "where": {
        "type": "object",
        "propertyNames": _ID,
        "additionalProperties": _condition(_VALUE, {"type": ["string", "number"]}),
        "maxProperties": CONDITIONS_MAX,
    },
    "fields": _object(**dict.fromkeys(FIELDS, _condition(_TEXT, _TEXT))),
}
_FIELD: Schema = {"type": "string", "enum": list(FIELDS)}
_DIMENSION: Schema = {
    "anyOf": [
        {**_ID, "not": {"enum": list(AMBIGUOUS)}},
        _object(("property",), property=_ID, **{"as": _maybe(_ID)}),
        _object(("field",), field=_FIELD, **{"as": _maybe(_ID)}),
    ]
}


def _measure(*names: str, **more: Schema) -> Schema:
    named: Schema = {"type": "string", "enum": list(names)}
    return _object(("measure", *more), measure=named, **more, **{"as": _maybe(_ID)})


_MEASURE: Schema = {
    "anyOf": [
        _measure("count", "users"),
        _measure("sum", "avg", "min", "max", property=_ID),
        _measure(
            "percentile", property=_ID, percent={"type": "number", "minimum": 0, "maximum": 100}
        ),
    ]
}
_STEP = _object(("event",), event=_ID, **_SELECTION)
_ASKED: dict[str, Schema] = {
    "from": _maybe(_TIME),
    "to": _maybe(_TIME),
    "limit": _maybe(
        {"type": "integer", "minimum": 1, "maximum": _LIMITS.analytics_rows_max},
    ),
}
_QUERY = _object(
    **_ASKED,
    **_SELECTION,
    events=_maybe({"type": "array", "items": _ID, "maxItems": EVENTS_MAX}),
    bucket=_maybe({"type": "string", "enum": list(BUCKETS)}),
    group_by={"type": "array", "items": _DIMENSION, "maxItems": GROUPS_MAX},
    measures={"type": "array", "items": _MEASURE, "minItems": 1, "maxItems": MEASURES_MAX},
    order={
        "type": "array",
        "items": _object(("column",), column=_TEXT, descending={"type": "boolean"}),
        "maxItems": GROUPS_MAX,
    },
)
_WINDOW: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": WINDOW_S_MAX}
_FUNNEL = _object(
    ("steps",),
    **_ASKED,
    steps={"type": "array", "items": _STEP, "minItems": 1, "maxItems": STEPS_MAX},
    window_s={**_WINDOW, "default": WINDOW_S},
    breakdown=_maybe(_DIMENSION),
)
_RETENTION = _object(
    ("begin", "back"),
    **_ASKED,
    begin=_STEP,
    back=_STEP,
    period={"type": "string", "enum": list(PERIOD_NAMES), "default": PERIOD_NAMES[0]},
    periods={"type": "integer", "minimum": 1, "maximum": PERIODS_MAX, "default": PERIODS},
)
_ATTRIBUTION = _object(
    ("touch", "conversion", "by"),
    **_ASKED,
    touch=_STEP,
    conversion=_STEP,
    by=_DIMENSION,
    model={"type": "string", "enum": list(MODELS), "default": "last"},
    window_s={**_WINDOW, "default": TOUCH_WINDOW_S},
    value=_maybe(_ID),
)
_ANSWER = member(
    columns=array(_TEXT),
    rows=array(array({"type": ["string", "number", "boolean", "null"]})),
    more={"type": "boolean"},
    head=_TEXT,
)
_INGESTED = member(
    stored={"type": "integer", "minimum": 0},
    duplicates={"type": "integer", "minimum": 0},
    head=_TEXT,
)

_AT = "/v1/analytics/{dataset}"
_ERRORS = (*OWNER, "no_route_configured")
_ASKING = (*_ERRORS, *BODY, "query_too_expensive", "extra_missing")
_SEEN = "Everything acknowledged before it was asked is looked at, and nothing else."


def _question(name: str, path: str, summary: str, text: str, body: Schema) -> Operation:
    return Operation(
        "post",
        f"{_AT}/{path}",
        name,
        "analytics",
        summary,
        f"{text} {_SEEN}",
        context="headers",
        body=body,
        answers={200: Described("The answer", _ANSWER, {})},
        errors=_ASKING,
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "post",
        f"{_AT}/events",
        "ingestAnalytics",
        "analytics",
        "Store analytics events",
        "One, an array, or one a line as application/x-ndjson: all of them or none. 201, or 200 "
        "when every event was already stored under its id. `properties` are flat.",
        ("Idempotency-Key",),
        "headers",
        body={"anyOf": [_EVENT, {"type": "array", "items": _EVENT, "minItems": 1}]},
        answers={
            201: Described("Stored", _INGESTED, {}),
            200: Described("All of them were there", _INGESTED, {}),
        },
        errors=(*_ERRORS, *WRITING, *BODY, "invalid_analytics_event", "event_conflict"),
    ),
    _question(
        "queryAnalytics",
        "query",
        "Groups of events, and measures of them",
        "By time and by properties: counts, users, sums, percentiles. Buckets are of UTC.",
        _QUERY,
    ),
    _question(
        "funnelAnalytics",
        "funnel",
        "How many people take steps in this order",
        "Each later than the one before it, all within a window; by the value that a property has "
        "at the first step, if asked for.",
        _FUNNEL,
    ),
    _question(
        "retentionAnalytics",
        "retention",
        "How many of those who began come back",
        "By day or week in which they began.",
        _RETENTION,
    ),
    _question(
        "attributeAnalytics",
        "attribution",
        "Which touches conversions are owed to",
        "By the value that a property has at them: the first or the last before each conversion, "
        "or all within the window in equal parts. Null: those without a touch.",
        _ATTRIBUTION,
    ),
)
