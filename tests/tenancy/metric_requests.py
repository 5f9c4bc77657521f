"""Random requests about metrics, vectors and analytics."""

from __future__ import annotations

from typing import Any

from tests.tenancy.drawing import NAMES, TIMES, Draw, Generator, Request, as_json, escaped


def _metric(draw: Draw, rest: str = "") -> str:
    return f"/v1/metrics/{draw.of('a', 'A', 'a.b', 'cpu_total')}{rest}"


def _ingest(draw: Draw) -> Request:
    points = [
        {
            "value": draw.rng.randrange(50),
            "tags": draw.of({}, {"of": draw.who.mark}, {"host": draw.of("a", "A")}),
            "ts": draw.of(*TIMES),
        }
        for _ in range(draw.of(1, 3))
    ]
    return Request("ingestMetric", "POST", _metric(draw), **as_json(points))


_SPAN = {"start": "2026-11-24T09:00:00Z", "end": "2026-11-24T12:00:00Z"}
METRICS: dict[str, Generator] = {
    "ingestMetric": _ingest,
    "queryMetric": lambda d: Request(
        "queryMetric", "GET", _metric(d), {**_SPAN, **d.some(tags="host=a", limit=5)}
    ),
    "latestMetric": lambda d: Request(
        "latestMetric", "GET", _metric(d, "/latest"), d.some(tags="host=A")
    ),
    "aggregateMetric": lambda d: Request(
        "aggregateMetric",
        "GET",
        _metric(d, "/aggregate"),
        {**_SPAN, "step": d.of("60", "3600"), "agg": d.of("sum", "max", "p50", "count")},
    ),
    "exposeMetrics": lambda d: Request(
        "exposeMetrics", "GET", "/v1/metrics/latest.prom", d.some(labels="host")
    ),
}


def _collection(draw: Draw, rest: str = "") -> str:
    return f"/v1/vectors/{escaped(draw.of(*NAMES[:4]))}{rest}"


def _vector(draw: Draw) -> list[float]:
    return [float(draw.rng.randrange(-3, 4)) for _ in range(2)]


def _point(draw: Draw) -> dict[str, Any]:
    return {"vector": _vector(draw), "metadata": draw.value()}


VECTORS: dict[str, Generator] = {
    "putCollection": lambda d: Request(
        "putCollection",
        "PUT",
        _collection(d),
        **as_json({"dimensions": d.of(2, 2, 2, 3), "metric": d.of("cosine", "l2")}),
    ),
    "getCollection": lambda d: Request("getCollection", "GET", _collection(d)),
    "deleteCollection": lambda d: Request("deleteCollection", "DELETE", _collection(d)),
    "putPoint": lambda d: Request(
        "putPoint", "PUT", _collection(d, f"/points/{escaped(d.name())}"), **as_json(_point(d))
    ),
    "putPoints": lambda d: Request(
        "putPoints",
        "POST",
        _collection(d, "/points"),
        **as_json({"points": [{"id": one, **_point(d)} for one in d.rng.sample(NAMES, 2)]}),
    ),
    "getPoint": lambda d: Request(
        "getPoint", "GET", _collection(d, f"/points/{escaped(d.name())}")
    ),
    "deletePoint": lambda d: Request(
        "deletePoint", "DELETE", _collection(d, f"/points/{escaped(d.name())}")
    ),
    "searchPoints": lambda d: Request(
        "searchPoints",
        "POST",
        _collection(d, "/search"),
        **as_json({"vector": _vector(d), "k": 10, "filter": d.of(None, {"n": {"gte": 50}})}),
    ),
    "getIndex": lambda d: Request("getIndex", "GET", _collection(d, "/index")),
    "rebuildIndex": lambda d: Request("rebuildIndex", "DELETE", _collection(d, "/index")),
}


def _facts(draw: Draw) -> Request:
    made = [
        {
            "event": draw.of("view", "buy"),
            "event_id": f"f{draw.rng.randrange(20)}",
            "time": draw.of(*TIMES),
            "user_id": draw.of("ann", "Ann", "bob"),
            "properties": {"of": draw.who.mark, "price": draw.of(1, 2.5)},
        }
        for _ in range(draw.of(1, 4))
    ]
    return _asked(draw, "ingestAnalytics", "events", made)


def _asked(draw: Draw, name: str, how: str, body: Any) -> Request:
    path = f"/v1/analytics/{escaped(draw.of(*NAMES[:5]))}/{how}"
    return Request(name, "POST", path, **as_json(body))


_STEPS = [{"event": "view"}, {"event": "buy"}]
ANALYTICS: dict[str, Generator] = {
    "ingestAnalytics": _facts,
    "queryAnalytics": lambda d: _asked(
        d,
        "queryAnalytics",
        "query",
        {"group_by": ["of"], "measures": [{"measure": d.of("count", "users")}]},
    ),
    "funnelAnalytics": lambda d: _asked(d, "funnelAnalytics", "funnel", {"steps": _STEPS}),
    "attributeAnalytics": lambda d: _asked(
        d,
        "attributeAnalytics",
        "attribution",
        {"touch": _STEPS[0], "conversion": _STEPS[1], "by": "of"},
    ),
    "retentionAnalytics": lambda d: _asked(
        d,
        "retentionAnalytics",
        "retention",
        {"begin": _STEPS[0], "back": _STEPS[1], "period": "day", "periods": 2},
    ),
}
