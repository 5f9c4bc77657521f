"""Roll-ups: what the points of one span of time add up to, and the spans of one series in a tier.

Rules: a bucket knows its first and its last point, by time and then by arrival, and how much a
counter grew in between; a fall is a counter that began again at zero. A point that comes late, with
a time between the two, counts everywhere but in that growth, to which it can only add a fall.
A tier keeps its newest buckets; a point for one that it has let go is for coarser tiers.
Source: KIND-10.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple

from eventspine.actors.states.quantiles import Quantiles
from eventspine.contracts.metrics import Number


class Stamped(NamedTuple):
    """A value and where it stands: by time, then by arrival."""

    ms: int
    sequence: int
    value: Number
    source: str | None = None


class Bucket:
    __slots__ = ("count", "first", "increase", "last", "maximum", "minimum", "quantiles", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum: Number = 0
        self.increase: Number = 0
        self.first: Stamped | None = None
        self.last: Stamped | None = None
        self.minimum: Number | None = None
        self.maximum: Number | None = None
        self.quantiles = Quantiles()

    def add(self, point: Stamped) -> None:
        if self.first is None or self.last is None:
            self.first = self.last = point
        elif point[:2] > self.last[:2]:
            self.increase += growth(self.last.value, point.value)
            self.last = point
        elif point[:2] < self.first[:2]:
            self.increase += growth(point.value, self.first.value)
            self.first = point
        self._count(1, point.value, point.value, point.value)
        self.quantiles.add(point.value)

    def absorb(self, other: Bucket, *, before: Bucket | None, quantiles: bool) -> None:
        """Take over another bucket. `before`: the one before it in its series, if there is one."""
        assert other.first is not None, "a bucket has at least one point"
        assert other.last is not None, "a bucket has at least one point"
        assert other.minimum is not None, "a bucket has at least one point"
        assert other.maximum is not None, "a bucket has at least one point"
        if before is not None and before.last is not None:
            self.increase += growth(before.last.value, other.first.value)
        self.increase += other.increase
        if self.first is None or other.first[:2] < self.first[:2]:
            self.first = other.first
        if self.last is None or other.last[:2] > self.last[:2]:
            self.last = other.last
        self._count(other.count, other.sum, other.minimum, other.maximum)
        if quantiles:
            self.quantiles.merge(other.quantiles)

    def _count(self, count: int, total: Number, least: Number, most: Number) -> None:
        self.count += count
        self.sum += total
        self.minimum = least if self.minimum is None else min(self.minimum, least)
        self.maximum = most if self.maximum is None else max(self.maximum, most)


class RolledUp:
    """The buckets of one series in one tier, by the time they begin."""

    __slots__ = ("_buckets", "_kept_max", "_starts", "kept_from", "span_ms")

    def __init__(self, span_ms: int, kept_max: int) -> None:
        self.span_ms = span_ms
        self.kept_from = 0  # milliseconds: nothing is missing from here on
        self._kept_max = kept_max
        self._buckets: dict[int, Bucket] = {}
        self._starts: list[int] = []

    def add(self, point: Stamped) -> None:
        start = point.ms - point.ms % self.span_ms
        bucket = self._buckets.get(start)
        if bucket is None:
            if start < self.kept_from:
                return
            bucket = self._buckets[start] = Bucket()
            insort(self._starts, start)
            self._forget()
        bucket.add(point)

    def between(self, start_ms: int, end_ms: int) -> Iterator[tuple[int, Bucket]]:
        """Buckets that begin in the range, in order; the last one before it comes first."""
        first = max(0, bisect_left(self._starts, start_ms) - 1)
        for at in range(first, bisect_left(self._starts, end_ms)):
            yield self._starts[at], self._buckets[self._starts[at]]

    def how_many(self, start_ms: int, end_ms: int) -> int:
        return bisect_left(self._starts, end_ms) - bisect_left(self._starts, start_ms)

    def _forget(self) -> None:
        if len(self._starts) > self._kept_max:
            oldest = self._starts.pop(0)
            del self._buckets[oldest]
            self.kept_from = oldest + self.span_ms


def growth(before: Number, after: Number) -> Number:
    """How much a counter grew from one value to the next; after a fall it began again at 0."""
    return after - before if after >= before else max(after, 0)
