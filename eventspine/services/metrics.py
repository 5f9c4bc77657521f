"""MetricsStoreService: values by name and tags, and what they add up to. Source: FN-13 … FN-15.

    metrics = spine.metrics_store(context)
    await metrics.ingest("latency_ms", 12.5, tags={"region": "eu"}, source="gateway")
    await metrics.get_latest("latency_ms")                           # Point(value=12.5, …)
    await metrics.query("latency_ms")                                # [Point(…), …]
    await metrics.aggregate("latency_ms", "p99", start="2026-11-24T00:00:00Z", step_s=3600)

A metric comes into being with its first point. The journal is `raw.jsonl`, one point a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar, TypeVarTuple

from anyio.to_thread import run_sync

from eventspine.actors.states import quantiles
from eventspine.actors.states.metric_views import WindowsView
from eventspine.actors.states.metrics import MetricRecord, Metrics
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import InvalidRequest, TooLarge
from eventspine.contracts.ids import checked_id
from eventspine.contracts.journal import Decision
from eventspine.contracts.limits import Limits
from eventspine.contracts.metrics import (
    Aggregate,
    Grouped,
    Number,
    Point,
    Question,
    Windows,
    checked_value,
    iso,
)
from eventspine.contracts.route import ResourceKind
from eventspine.services.audit_mutations import mutation
from eventspine.services.journals import Journals
from eventspine.services.metric_question import Time, fill_of, ms_of, step_ms_of, tier_of

A = TypeVar("A")
Ts = TypeVarTuple("Ts")
JOURNAL = "raw"
LAST_S = 3600  # windows without a start begin an hour before their end
INLINE_MAX = 250  # buckets and points that take the loop less time than going to a thread
LEAST_OF_A_CHART = 3
_EVER_MS = 1 << 60


class NewPoint(NamedTuple):
    """A point to be ingested. `ts` None: now."""

    metric_name: str
    value: Number
    tags: Mapping[str, str] | None = None
    source: str | None = None
    ts: Time | None = None


class MetricsStoreService:
    """The metrics of one scope. Made by `Spine.metrics_store(context)`."""

    def __init__(self, context: RequestContext, journals: Journals, limits: Limits) -> None:
        self._context = context
        self._journals = journals
        self._limits = limits

    async def ingest(
        self,
        metric_name: str,
        value: Number,
        *,
        tags: Mapping[str, str] | None = None,
        source: str | None = None,
        ts: Time | None = None,
    ) -> Point:
        """Store one value; answers it as stored.

        Args:
            value: a finite number; integers stay exact.
            tags: what tells its series from others of the metric; few values each.
            source: who measured it; it makes no series.
            ts: when; None is now. Points may come late.

        Raises:
            TooManySeries: it would begin one series more than the scope may have.
        """
        (point,) = await self.ingest_many([NewPoint(metric_name, value, tags, source, ts)])
        return point

    @mutation("metrics_store", "metrics.ingest", "points")
    async def ingest_many(self, points: Iterable[NewPoint]) -> list[Point]:
        """Store several values: all of them or none."""
        now = self._journals.now()
        records = [self._record(point, now) for point in points]
        if len(records) > self._limits.batch_events_max:
            raise TooLarge(
                f"{len(records)} points at once",
                limit="batch_events_max",
                maximum=self._limits.batch_events_max,
                actual=len(records),
            )
        series_max = self._limits.metrics_series_max
        return await self._ask(lambda metrics: metrics.ingest(records, series_max))

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
        """The points of a metric in the order of time, from `start` to before `end`.

        The newest ones where there are more than `limit`, or than are kept in memory; all of them
        are in `raw.jsonl`.

        Args:
            downsample: instead of the newest, so many that look like all of the range in a chart:
                of the newest `metrics_buckets_read_max` points. At least 3.
        """
        name, wanted = checked_id(metric_name, "metric_name"), dict(tags or {})
        from_ms = 0 if start is None else ms_of(start, "start")
        to_ms = _EVER_MS if end is None else ms_of(end, "end")
        most = self._limits.metrics_raw_points_max
        limit = most if limit is None else min(limit, most)
        if limit < 1:
            raise InvalidRequest("limit must be at least 1", parameter="limit")
        if downsample is not None and downsample < LEAST_OF_A_CHART:
            raise InvalidRequest("downsample must be at least 3", parameter="downsample")
        view = await self._ask(
            lambda metrics: Decision((), metrics.points(name, wanted, from_ms, to_ms))
        )
        if downsample is None:
            return await _worked_out(view.size, view.newest, limit)
        read_max = self._limits.metrics_buckets_read_max
        return await _worked_out(view.size, view.downsampled, min(downsample, most), read_max)

    async def get_latest(
        self, metric_name: str, *, tags: Mapping[str, str] | None = None
    ) -> Point | None:
        """The newest point of a metric, by time; None if there is none."""
        name, wanted = checked_id(metric_name, "metric_name"), dict(tags or {})
        return await self._ask(lambda metrics: Decision((), metrics.latest(name, wanted)))

    async def latest_of_each(self) -> list[Point]:
        """The newest point of every series of the scope, by name and tags."""
        return await self._ask(lambda metrics: Decision((), metrics.latest_of_each()))

    async def aggregate(
        self,
        metric_name: str,
        aggregate: str,
        *,
        start: Time | None = None,
        end: Time | None = None,
        step_s: float | None = None,
        tags: Mapping[str, str] | None = None,
        tier: str | None = None,
        fill: str = "null",
    ) -> Windows:
        """What the points add up to, window by window; all series with these tags together.

        Args:
            aggregate: sum, avg, min, max, count, last, rate (growth a second of a counter), or a
                percentile as p50, p99, p99.9.
            start: an hour before `end` when left out; widened to whole steps, as `end` is.
            end: now when left out.
            step_s: length of a window; None: one that suits the range.
            tier: raw, 1m, 1h or 1d; None: the coarsest that the step allows.
            fill: what windows without points are: none (left out), null, zero, previous.

        Raises:
            TooLarge: too many windows, or too much to be read for them.
            ExtraMissing: percentiles without their library.
        """
        view = await self._windows(metric_name, aggregate, (), start, end, step_s, tags, tier, fill)
        return await _worked_out(view.size, view.windows)

    async def aggregate_by(
        self,
        metric_name: str,
        aggregate: str,
        group_by: Sequence[str],
        *,
        start: Time | None = None,
        end: Time | None = None,
        step_s: float | None = None,
        tags: Mapping[str, str] | None = None,
        tier: str | None = None,
        fill: str = "null",
    ) -> Grouped:
        """`aggregate` for each group of series apart.

        Args:
            group_by: tags; series with the same values of them are one group.

        Raises:
            TooLarge: more than `metrics_windows_max` windows in all groups together.
        """
        names = tuple(dict.fromkeys(checked_id(name, "group_by") for name in group_by))
        if not 0 < len(names) <= max(1, self._limits.metrics_tags_max):
            raise InvalidRequest("group_by must name at least one tag", parameter="group_by")
        view = await self._windows(
            metric_name, aggregate, names, start, end, step_s, tags, tier, fill
        )
        return await _worked_out(view.size, view.grouped)

    async def _windows(
        self,
        metric_name: str,
        aggregate: str,
        group_by: tuple[str, ...],
        start: Time | None,
        end: Time | None,
        step_s: float | None,
        tags: Mapping[str, str] | None,
        tier: str | None,
        fill: str,
    ) -> WindowsView:
        name = checked_id(metric_name, "metric_name")
        to_ms = round(self._journals.now_s() * 1000) + 1 if end is None else ms_of(end, "end")
        from_ms = max(0, to_ms - LAST_S * 1000) if start is None else ms_of(start, "start")
        question = Question(
            from_ms,
            to_ms,
            None if step_s is None else step_ms_of(step_s),
            Aggregate.of(aggregate),
            dict(tags or {}),
            tier_of(tier),
            fill_of(fill),
            group_by,
        )
        limits = self._limits
        windows_max, buckets_max = limits.metrics_windows_max, limits.metrics_buckets_read_max
        return await self._ask(
            lambda metrics: Decision((), metrics.windows(name, question, windows_max, buckets_max))
        )

    # --- the way to the journal ---

    def _record(self, point: NewPoint, now: str) -> MetricRecord:
        tags = dict(point.tags or {})
        if len(tags) > self._limits.metrics_tags_max:
            raise TooLarge(
                f"{len(tags)} tags on one point",
                limit="metrics_tags_max",
                maximum=self._limits.metrics_tags_max,
                actual=len(tags),
            )
        for tag, text in tags.items():
            checked_id(tag, "tag")
            checked_id(text, f"tag {tag}")
        return MetricRecord(
            checked_id(point.metric_name, "metric_name"),
            checked_value(point.value),
            now if point.ts is None else iso(ms_of(point.ts, "ts")),
            tags,
            None if point.source is None else checked_id(point.source, "source"),
        )

    async def _ask(self, decide: Callable[[Metrics], Decision[A]]) -> A:
        if not quantiles.library_is_known():
            await run_sync(quantiles.sketch_type)  # an import, which reads files
        return await self._journals.ask(ResourceKind.METRICS_STORE, JOURNAL, self._context, decide)


async def _worked_out(size: int, work: Callable[[*Ts], A], *args: *Ts) -> A:
    """`work(*args)` on what a view holds: here when that is little, on a thread when it is not."""
    if size <= INLINE_MAX:
        return work(*args)
    return await run_sync(work, *args)
