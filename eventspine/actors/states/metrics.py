"""The metrics of a scope: series by name and tags, their latest points, roll-ups, windows. Pure.

Rules: the journal, `raw.jsonl`, has every point for ever and is the truth; what is here is made of
it again at every start. Of points as they were, the newest RAW_KEPT of the scope stay here, and the
newest RAW_KEPT_EACH of every series whatever the others do. Windows over several series merge what
they hold; the rates of several counters add up.
Source: FN-13 … FN-15, FLD-25, KIND-10.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from eventspine.actors.states.resolution import Resolution, resolution
from eventspine.actors.states.rollups import Bucket, Stamped
from eventspine.actors.states.series import Series
from eventspine.contracts.errors import TooLarge, TooManySeries
from eventspine.contracts.journal import Decision, State
from eventspine.contracts.metrics import (
    Aggregate,
    Number,
    Point,
    Question,
    Tier,
    Window,
    Windows,
    iso,
    unix_ms,
)

RAW_KEPT = 200_000
RAW_KEPT_EACH = 100
Labels = tuple[tuple[str, str], ...]


class MetricRecord(msgspec.Struct):
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
        point = Stamped(unix_ms(record.ts, "ts"), sequence, record.value, record.source)
        series = self._series(record)
        series.add(point)
        self._arrived.append(series)
        if len(self._arrived) > RAW_KEPT:
            oldest = self._arrived.popleft()
            if len(oldest.points) > RAW_KEPT_EACH:
                oldest.forget_one()

    def _series(self, record: MetricRecord) -> Series:
        of_metric = self._metrics.setdefault(record.metric_name, {})
        labels = _labels(record)
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
        self, metric_name: str, tags: Mapping[str, str], start_ms: int, end_ms: int, limit: int
    ) -> list[Point]:
        """The newest points of a range of time that are kept as they were, in the order of time."""
        found = [
            (point[:2], series, point)
            for series in self._matching(metric_name, tags)
            for point in islice(series.backwards(start_ms, end_ms), limit)
        ]
        found.sort(key=lambda one: one[0])
        return [series.as_point(point) for _, series, point in found[-limit:]]

    def latest(self, metric_name: str, tags: Mapping[str, str]) -> Point | None:
        """The newest point of a metric, among the series that have these tags."""
        newest: tuple[Series, Stamped] | None = None
        for series in self._matching(metric_name, tags):
            point = series.latest
            if point is not None and (newest is None or point[:2] > newest[1][:2]):
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
    ) -> Windows:
        """What the points of a range of time add up to, window by window.

        Raises:
            InvalidRequest, TooLarge: the question cannot be answered so.
            ExtraMissing: percentiles need a library that is not there.
        """
        series = list(self._matching(metric_name, question.tags))

        def kept_from(tier: Tier) -> int:
            return max((one.kept_from(tier) for one in series), default=0)

        asked = resolution(question, kept_from, windows_max)
        _check_size(series, asked, buckets_max)
        merged = _merged(series, asked, quantiles=question.aggregate.rank is not None)
        return Windows(
            metric_name,
            question.aggregate.name,
            iso(asked.start_ms),
            iso(asked.end_ms),
            asked.step_ms // 1000 if asked.step_ms % 1000 == 0 else asked.step_ms / 1000,
            asked.tier,
            kept_from(asked.tier) <= asked.start_ms,
            list(_filled(merged, asked, question)),
        )

    def _matching(self, metric_name: str, tags: Mapping[str, str]) -> Iterator[Series]:
        for series in self._metrics.get(metric_name, {}).values():
            if series.has(tags):
                yield series


def _labels(record: MetricRecord) -> Labels:
    return tuple(sorted(record.tags.items()))


def _check_size(series: Iterable[Series], asked: Resolution, buckets_max: int) -> None:
    buckets = sum(one.how_many(asked) for one in series)
    if buckets > buckets_max:
        raise TooLarge(
            f"{buckets} buckets or points to be read; ask for fewer series, a shorter range, or a "
            "step of whole hours or days",
            limit="metrics_buckets_read_max",
            maximum=buckets_max,
            actual=buckets,
        )


def _merged(series: Iterable[Series], asked: Resolution, *, quantiles: bool) -> dict[int, Bucket]:
    windows: dict[int, Bucket] = {}
    for one in series:
        before: Bucket | None = None
        for start, bucket in one.buckets(asked):
            if start >= asked.start_ms:
                window = windows.setdefault(start - start % asked.step_ms, Bucket())
                window.absorb(bucket, before=before, quantiles=quantiles)
            before = bucket
    return windows


def _filled(
    merged: Mapping[int, Bucket], asked: Resolution, question: Question
) -> Iterator[Window]:
    value: Number | None = 0 if question.fill == "zero" else None
    for start in range(asked.start_ms, asked.end_ms, asked.step_ms):
        bucket = merged.get(start)
        if bucket is not None:
            found = _value(bucket, question.aggregate, asked.step_ms)
            if question.fill == "previous":
                value = found
            yield Window(iso(start), found, bucket.count)
        elif question.fill != "none":
            yield Window(iso(start), value, 0)


def _value(bucket: Bucket, aggregate: Aggregate, step_ms: int) -> Number:
    if aggregate.rank is not None:
        return bucket.quantiles.at(aggregate.rank)
    assert bucket.last is not None, "a bucket has at least one point"
    assert bucket.minimum is not None, "a bucket has at least one point"
    assert bucket.maximum is not None, "a bucket has at least one point"
    values: dict[str, Number] = {
        "sum": bucket.sum,
        "avg": bucket.sum / bucket.count,
        "min": bucket.minimum,
        "max": bucket.maximum,
        "count": bucket.count,
        "last": bucket.last.value,
        "rate": bucket.increase * 1000 / step_ms,
    }
    value = values[aggregate.name]
    too_long = isinstance(value, int) and value.bit_length() >= 64  # JSON readers take 64 bits
    return float(value) if too_long else value
