"""The metrics of a server. The same operations as MetricsStoreService."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from eventspine.client.stores.asking import JSON, AskStore, address, decoded, encoded
from eventspine.contracts.errors import MetricNotFound
from eventspine.contracts.metrics import Group, Grouped, Number, Point, Tier, Window, Windows

Time = str | datetime | float  # ISO 8601 with a zone, an aware datetime, or seconds since 1970


class _Point(msgspec.Struct):
    metric_name: str
    value: int | float
    ts: str
    tags: dict[str, str]
    source: str | None

    @property
    def point(self) -> Point:
        return Point(self.metric_name, self.value, self.ts, self.tags, self.source)


class _Points(msgspec.Struct):
    points: list[_Point]


class _Windows(msgspec.Struct):
    metric_name: str
    aggregate: str
    start: str
    end: str
    step_s: int | float
    tier: Tier
    complete: bool
    windows: list[Window] = []
    groups: list[Group] = []

    @property
    def about(self) -> tuple[str, str, str, str, Number, Tier, bool]:
        return (
            *(self.metric_name, self.aggregate, self.start, self.end),
            *(self.step_s, self.tier, self.complete),
        )


class ClientMetrics:
    """Made by `EventspineClient.metrics`."""

    def __init__(self, ask: AskStore) -> None:
        self._ask = ask

    async def ingest(
        self,
        metric_name: str,
        value: Number,
        *,
        tags: Mapping[str, str] | None = None,
        source: str | None = None,
        ts: Time | None = None,
    ) -> Point:
        """Store one value. Never sent twice once it may have been stored: it would count twice.

        Raises:
            TooManySeries: it would begin one series more than the scope may have.
            ServerUnreachable, OutcomeUnknown: it may be stored or not.
        """
        point = {"value": value, "tags": dict(tags or {}), "source": source, "ts": _time(ts)}
        response = await self._ask(
            "POST",
            address("metrics", metric_name),
            content=encoded(point),
            headers=[JSON],
            is_repeatable=False,
        )
        return decoded(response, _Points).points[0].point

    async def query(
        self,
        metric_name: str,
        *,
        tags: Mapping[str, str] | None = None,
        start: Time | None = None,
        end: Time | None = None,
        limit: int | None = None,
        downsample: int | None = None,
    ) -> list[Point]:
        """The newest points of a range in the order of time, or so many that look like all."""
        params = {"tags": _tags(tags), "limit": limit, "downsample": downsample}
        response = await self._ask(
            "GET", address("metrics", metric_name), params=params | _range(start, end)
        )
        return [one.point for one in decoded(response, _Points).points]

    async def get_latest(
        self, metric_name: str, *, tags: Mapping[str, str] | None = None
    ) -> Point | None:
        """The newest point of a metric, by time; None if there is none."""
        path, params = address("metrics", metric_name, "latest"), {"tags": _tags(tags)}
        try:
            return decoded(await self._ask("GET", path, params=params), _Point).point
        except MetricNotFound:
            return None

    async def aggregate(self, metric_name: str, aggregate: str, **wanted: Any) -> Windows:
        """What the points add up to, window by window; `wanted` as MetricsStoreService has it."""
        found = await self._windows(metric_name, aggregate, None, **wanted)
        return Windows(*found.about, found.windows)

    async def aggregate_by(
        self, metric_name: str, aggregate: str, group_by: Sequence[str], **wanted: Any
    ) -> Grouped:
        """`aggregate` for each group of series with the same values of these tags."""
        names = ",".join(quote(name, safe="") for name in group_by)
        found = await self._windows(metric_name, aggregate, names, **wanted)
        return Grouped(*found.about, found.groups)

    async def _windows(
        self,
        metric_name: str,
        aggregate: str,
        group_by: str | None,
        *,
        start: Time | None = None,
        end: Time | None = None,
        step_s: float | None = None,
        tags: Mapping[str, str] | None = None,
        tier: str | None = None,
        fill: str | None = None,
    ) -> _Windows:
        params = {"agg": aggregate, "step": step_s, "tags": _tags(tags), "tier": tier}
        params |= {"fill": fill, "group_by": group_by, **_range(start, end)}
        path = address("metrics", metric_name, "aggregate")
        return decoded(await self._ask("GET", path, params=params), _Windows)


def _range(start: Time | None, end: Time | None) -> dict[str, Any]:
    return {"start": _time(start), "end": _time(end)}


def _time(time: Time | None) -> str | float | None:
    return time.isoformat() if isinstance(time, datetime) else time


def _tags(tags: Mapping[str, str] | None) -> str | None:
    """As the query string has them."""
    pairs = (tags or {}).items()
    return ",".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in pairs) or None
