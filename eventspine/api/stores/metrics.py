"""The endpoints of the metrics store: points in, points, windows and Prometheus text out.

Times are ISO 8601 with a zone, or seconds since 1970. `tags=region=eu,shard=1` selects the series
that have these tags; a comma, = or % inside a name or value is percent-encoded once more.
What a scope has in it is not what the process says of itself: that is GET /metrics.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import negotiation, query
from eventspine.api.address import RawRoute
from eventspine.api.answer import NO_STORE, Answer, json_answer
from eventspine.api.body import read_body
from eventspine.api.call import Call
from eventspine.api.context import ContextReader
from eventspine.api.json_body import decoded
from eventspine.api.metrics import MEDIA_TYPE
from eventspine.api.operation import BODY, OWNER, WRITING, Described, Operation, array, member
from eventspine.api.service import SpineService
from eventspine.api.stores.exposition import exposition
from eventspine.contracts.errors import InvalidJson, InvalidRequest, MetricNotFound
from eventspine.contracts.metrics import TIERS
from eventspine.services.metrics import LEAST_OF_A_CHART, MetricsStoreService, NewPoint

_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
_TOO_LONG = re.compile(rb"[0-9]{400}")  # a number that no double is; and slow to be read


class _Point(msgspec.Struct, forbid_unknown_fields=True):
    """One point, as it is sent."""

    value: int | float
    tags: dict[str, str] = {}
    source: str | None = None
    ts: str | float | None = None


_points = msgspec.json.Decoder(list[_Point] | _Point)


class MetricEndpoints:
    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._spine = spine
        self._contexts = contexts
        self._limits = spine.settings.limits

    def routes(self) -> list[BaseRoute]:
        return [
            RawRoute("/v1/metrics/latest.prom", {"GET": self.exposed}),
            RawRoute("/v1/metrics/{metric_name}", {"POST": self.ingest, "GET": self.query}),
            RawRoute("/v1/metrics/{metric_name}/latest", {"GET": self.latest}),
            RawRoute("/v1/metrics/{metric_name}/aggregate", {"GET": self.aggregate}),
        ]

    async def ingest(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        negotiation.require_json(call.fields)
        metrics, name = self._metrics(call), call.parameters["metric_name"]
        sent = _sent(await read_body(call.receive, call.fields, self._limits.body_bytes_max))
        points = await metrics.ingest_many(
            NewPoint(name, one.value, one.tags, one.source, one.ts) for one in sent
        )
        return json_answer(201, {"points": [point.as_json() for point in points]}, [NO_STORE])

    async def query(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, ["start", "end", "limit", "downsample", "tags"])
        limit = query.whole_number(values, "limit", 1) or self._limits.page_events_default
        downsample = query.whole_number(values, "downsample", LEAST_OF_A_CHART)
        points = await self._metrics(call).query(
            call.parameters["metric_name"],
            tags=query.pairs(values, "tags"),
            start=_time(values, "start"),
            end=_time(values, "end"),
            limit=limit,
            downsample=downsample,
        )
        return json_answer(200, {"points": [point.as_json() for point in points]}, [NO_STORE])

    async def latest(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, ["tags"])
        name = call.parameters["metric_name"]
        point = await self._metrics(call).get_latest(name, tags=query.pairs(values, "tags"))
        if point is None:
            raise MetricNotFound(f"no point of {name[:100]!r}")
        return json_answer(200, point.as_json(), [NO_STORE])

    async def aggregate(self, call: Call) -> ASGIApp:
        names = ["start", "end", "step", "agg", "tags", "tier", "fill", "group_by"]
        values = query.parsed(call.query, names)
        metrics, name = self._metrics(call), call.parameters["metric_name"]
        wanted: dict[str, Any] = {
            "start": _time(values, "start"),
            "end": _time(values, "end"),
            "step_s": _seconds(values, "step") if "step" in values else None,
            "tags": query.pairs(values, "tags"),
            "tier": values.get("tier"),
            "fill": values.get("fill", "null"),
        }
        aggregate = values.get("agg", "avg")
        if "group_by" in values:
            names = [unquote(one) for one in values["group_by"].split(",")]
            grouped = await metrics.aggregate_by(name, aggregate, names, **wanted)
            return json_answer(200, grouped.as_json(), [NO_STORE])
        windows = await metrics.aggregate(name, aggregate, **wanted)
        return json_answer(200, windows.as_json(), [NO_STORE])

    async def exposed(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, ["labels"])
        labels = values["labels"].split(",") if "labels" in values else None
        points = await self._metrics(call).latest_of_each()
        text = exposition(points, labels, self._limits.metrics_exposed_max)
        return Answer(200, text, MEDIA_TYPE, [NO_STORE])

    def _metrics(self, call: Call) -> MetricsStoreService:
        return self._spine.metrics_store(self._contexts.read(call.fields, call.request_id))


def _sent(body: bytes) -> list[_Point]:
    if _TOO_LONG.search(body):
        raise InvalidJson("the body holds a number that is too long")
    sent: list[_Point] | _Point = decoded(_points, body)
    return sent if isinstance(sent, list) else [sent]


def _time(values: dict[str, str], name: str) -> str | float | None:
    text = values.get(name)
    return float(text) if text is not None and _SECONDS.fullmatch(text) else text


def _seconds(values: dict[str, str], name: str) -> float:
    if not _SECONDS.fullmatch(values[name]):
        raise InvalidRequest(f"{name} must be seconds", parameter=name)
    return float(values[name])


# --- what they are, for /openapi.json ---------------------------------------------------------

_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_TAGS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
_NULLABLE_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_POINT = member(
    metric_name={"type": "string"},
    value={"type": "number"},
    ts=_TIME,
    tags=_TAGS,
    source=_NULLABLE_TEXT,
)
_NEW_POINT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "value": {"type": "number"},
        "tags": _TAGS,
        "source": _NULLABLE_TEXT,
        "ts": {"anyOf": [_TIME, {"type": "number", "minimum": 0}, {"type": "null"}]},
    },
    "required": ["value"],
    "additionalProperties": False,
}
_EACH = array(member(start=_TIME, value={"type": ["number", "null"]}, count={"type": "integer"}))
_ABOUT: dict[str, Any] = {
    "metric_name": {"type": "string"},
    "aggregate": {"type": "string"},
    "start": _TIME,
    "end": _TIME,
    "step_s": {"type": "number"},
    "tier": {"type": "string", "enum": list(TIERS)},
    "complete": {"type": "boolean"},
}
_WINDOWS = member(**_ABOUT, windows=_EACH)
_GROUPED = member(**_ABOUT, groups=array(member(tags=_TAGS, windows=_EACH)))
_ERRORS = (*OWNER, "no_route_configured")
_POINTS = Described("Points in the order of time", member(points=array(_POINT)), {})
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "post",
        "/v1/metrics/{metric_name}",
        "ingestMetric",
        "metrics",
        "Store one value or several: all of them or none",
        "`ts` is now when left out: ISO 8601 with a zone, or seconds since 1970.",
        (),
        "headers",
        body={"anyOf": [_NEW_POINT, array(_NEW_POINT)]},
        answers={201: Described("The points as stored", member(points=array(_POINT)), {})},
        errors=(*_ERRORS, *WRITING, *BODY, "too_many_series"),
    ),
    Operation(
        "get",
        "/v1/metrics/{metric_name}",
        "queryMetric",
        "metrics",
        "Points as they came",
        "The newest ones where there are more than `limit`, or than are kept in memory. With "
        "`downsample` instead so many as look like all of them in a chart (LTTB).",
        ("?metric_start", "?metric_end", "limit", "?metric_downsample", "?metric_tags"),
        "headers",
        answers={200: _POINTS},
        errors=_ERRORS,
    ),
    Operation(
        "get",
        "/v1/metrics/{metric_name}/latest",
        "latestMetric",
        "metrics",
        "The newest point, by time",
        "",
        ("?metric_tags",),
        "headers",
        answers={200: Described("The point", _POINT, {})},
        errors=(*_ERRORS, "metric_not_found"),
    ),
    Operation(
        "get",
        "/v1/metrics/{metric_name}/aggregate",
        "aggregateMetric",
        "metrics",
        "What the points add up to, window by window",
        "All series that have the tags together. Percentiles come from merged sketches. Windows "
        "begin at multiples of the step; without a step one is chosen that suits the range. With "
        "`group_by` there are windows for each group of series, in `groups`.",
        (
            *("?metric_agg", "?metric_start", "?metric_end", "?metric_step"),
            *("?metric_tags", "?metric_tier", "?metric_fill", "?metric_group_by"),
        ),
        "headers",
        answers={
            200: Described("Windows in the order of time", {"oneOf": [_WINDOWS, _GROUPED]}, {})
        },
        errors=(*_ERRORS, "too_large", "extra_missing"),
    ),
    Operation(
        "get",
        "/v1/metrics/latest.prom",
        "exposeMetrics",
        "metrics",
        "The newest value of every series, as Prometheus text",
        "At most `metrics_exposed_max` series; a comment says how many were left out.",
        ("?metric_labels",),
        "headers",
        answers={200: "metrics"},
        errors=_ERRORS,
    ),
)
