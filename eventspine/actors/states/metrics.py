"""The metrics of a scope: series by name and tags, their latest points, roll-ups, windows. Pure.

Rules: the journal, `raw.jsonl`, has every point for ever and is the truth; what is here is made of
it again at every start. Of points as they were, the newest RAW_KEPT of the scope stay here, and the
newest RAW_KEPT_EACH of every series whatever the others do. Windows over several series merge what
they hold; the rates of several counters add up.
Source: FN-13 … FN-15, FLD-25, KIND-10.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from eventspine.actors.states.metric_views import PointsView, WindowsView
from eventspine.actors.states.resolution import resolution
from eventspine.actors.states.rollups import Stamped
from eventspine.actors.states.series import Series
from eventspine.contracts.errors import TooManySeries
from eventspine.contracts.journal import Decision, State
from eventspine.contracts.metrics import Point, Question, Tier, unix_ms

RAW_KEPT = 200_000
RAW_KEPT_EACH = 100
Labels = tuple[tuple[str, str], ...]


class MetricRecord(msgspec.Struct, gc=False):
    """One point. The seed's names; `ts` is ISO 8601 in UTC with milliseconds."""

    metric_name: str
    value: int | float
    ts: str
    tags: dict[str, str] = {}
    source: str | None = None


class Metrics(State[MetricRecord]):
    record = MetricRecord

    def __init__(self) -> None:
        self.series_count = 0
        self._metrics: dict[str, dict[Labels, Series]] = {}
        self._arrived: deque[Series] = deque()  # whose point each was, in the order they came

    # --- what it adds up to ---

    def apply(self, record: MetricRecord, sequence: int) -> None:
        series, point = self._kept(record, sequence)
        series.roll_up(point)

    def apply_all(self, records: Sequence[MetricRecord], first: int) -> None:
        of_series: dict[Series, list[Stamped]] = {}
        for sequence, record in enumerate(records, first):
            series, point = self._kept(record, sequence)
            points = of_series.get(series)
            if points is None:
                of_series[series] = [point]
            else:
                points.append(point)
        for series, points in of_series.items():
            series.roll_up_all(points)

    def _kept(self, record: MetricRecord, sequence: int) -> tuple[Series, Stamped]:
        """Keep a point as it is, and let go of another if there are too many."""
        ms = _ms_of_own(record.ts)
        point = Stamped(ms, sequence, record.value, record.source or "")
        series = self._series(record)
        series.keep(point)
        self._arrived.append(series)
        if len(self._arrived) > RAW_KEPT:
            oldest = self._arrived.popleft()
            if len(oldest.points) > RAW_KEPT_EACH:
                oldest.forget_one()
        return series, point

    def _series(self, record: MetricRecord) -> Series:
        tags = record.tags
        of_metric = self._metrics.setdefault(record.metric_name, {})
        labels = _labels(record) if len(tags) > 1 else tuple(tags.items())
        series = of_metric.get(labels)
        if series is None:
            series = of_metric[labels] = Series(record.metric_name, dict(labels))
            self.series_count += 1
        return series

    # --- decisions ---

    def ingest(self, records: Sequence[MetricRecord], series_max: int) -> Decision[list[Point]]:
        """All of the points or none.

        Raises:
            TooManySeries: they would make more than `series_max` series in the scope.
        """
        new = {
            (record.metric_name, labels)
            for record in records
            if (labels := _labels(record)) not in self._metrics.get(record.metric_name, {})
        }
        if new and self.series_count + len(new) > series_max:
            raise TooManySeries(
                f"the scope has {self.series_count} series, and this would make {len(new)} more",
                limit="metrics_series_max",
                maximum=series_max,
                actual=self.series_count + len(new),
            )
        return Decision(
            records,
            [Point(one.metric_name, one.value, one.ts, one.tags, one.source) for one in records],
        )

    # --- questions ---

    def points(
        self, metric_name: str, tags: Mapping[str, str], start_ms: int, end_ms: int
    ) -> PointsView:
        """The points of a range of time that are kept as they were."""
        series = [one.raw() for one in self._matching(metric_name, tags)]
        return PointsView(series, start_ms, end_ms)

    def latest(self, metric_name: str, tags: Mapping[str, str]) -> Point | None:
        """The newest point of a metric, among the series that have these tags."""
        newest: tuple[Series, Stamped] | None = None
        for series in self._matching(metric_name, tags):
            point = series.latest
            if point is not None and (newest is None or point > newest[1]):
                newest = series, point
        return None if newest is None else newest[0].as_point(newest[1])

    def latest_of_each(self) -> list[Point]:
        """The newest point of every series, by name and tags."""
        return [
            series.as_point(series.latest)
            for _, of_metric in sorted(self._metrics.items())
            for _, series in sorted(of_metric.items())
            if series.latest is not None
        ]

    def windows(
        self, metric_name: str, question: Question, windows_max: int, buckets_max: int
    ) -> WindowsView:
        """What the points of a range of time add up to, window by window.

        Raises:
            InvalidRequest, TooLarge: the question cannot be answered so.
        """
        series = list(self._matching(metric_name, question.tags))

        def kept_from(tier: Tier) -> int:
            return max((one.kept_from(tier) for one in series), default=0)

        asked = resolution(question, kept_from, windows_max)
        return WindowsView(
            metric_name,
            question,
            asked,
            kept_from(asked.tier) <= asked.start_ms,
            [one.view(asked) for one in series],
            windows_max,
            buckets_max,
        )

    def _matching(self, metric_name: str, tags: Mapping[str, str]) -> Iterator[Series]:
        for series in self._metrics.get(metric_name, {}).values():
            if series.has(tags):
                yield series


def _labels(record: MetricRecord) -> Labels:
    return tuple(sorted(record.tags.items()))


def _ms_of_own(ts: str) -> int:
    """`unix_ms` of a time as `iso` writes it, which costs a third."""
    if len(ts) != len("2026-11-24T10:00:00.000Z") or ts[16] != ":":
        return unix_ms(ts, "ts")
    return _minute_ms(ts[:16]) + int(ts[17:19]) * 1000 + int(ts[20:23])


@lru_cache(maxsize=1024)
def _minute_ms(minute: str) -> int:
    return unix_ms(f"{minute}:00Z", "ts")
