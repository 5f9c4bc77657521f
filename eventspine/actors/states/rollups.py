"""Roll-ups: what the points of one span of time add up to, and the spans of one series in a tier.

Rules: a bucket knows its first and its last point, by time and then by arrival, and how much a
counter grew in between; a fall is a counter that began again at zero. A point that comes late, with
a time between the two, counts everywhere but in that growth, to which it can only add a fall.
A tier keeps its newest buckets; a point for one that it has let go is for coarser tiers.
Source: KIND-10.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from eventspine.actors.states.quantiles import Quantiles
from eventspine.contracts.metrics import Number


class Stamped(msgspec.Struct, frozen=True, order=True, gc=False):
    """A value and where it stands: by time, then by arrival. `source` "": nobody is named."""

    ms: int
    sequence: int
    value: Number
    source: str = ""


class Bucket(msgspec.Struct, gc=False):
    """`is_shown`: somebody looks at it on another thread; it is copied before it changes."""

    count: int = 0
    sum: Number = 0
    increase: Number = 0
    first: Stamped | None = None
    last: Stamped | None = None
    minimum: Number | None = None
    maximum: Number | None = None
    quantiles: Quantiles = msgspec.field(default_factory=Quantiles)
    is_shown: bool = False

    def add(self, point: Stamped) -> None:
        value = point.value
        if self.last is None:
            self.first = self.last = point
            self.minimum = self.maximum = value
        else:
            self._place(point, value)
        self.count += 1
        self.sum += value
        self.quantiles.add(value)

    def _place(self, point: Stamped, value: Number) -> None:
        """Count a point in, that is not the first. All at once, since every point comes here."""
        first, last = self.first, self.last
        assert first is not None, "a bucket has at least one point"
        assert last is not None, "a bucket has at least one point"
        if point > last:
            self.increase += growth(last.value, value)
            self.last = point
        elif point < first:
            self.increase += growth(value, first.value)
            self.first = point
        if value < self.minimum:  # type: ignore[operator]
            self.minimum = value
        elif value > self.maximum:  # type: ignore[operator]
            self.maximum = value

    def add_all(self, points: Sequence[Stamped]) -> None:
        """`add` each in turn. They are read back by the million, so this is one loop."""
        if self.last is None:
            self.add(points[0])
            points = points[1:]
        first, last, total, increase = self.first, self.last, self.sum, self.increase
        assert first is not None, "a bucket has at least one point"
        assert last is not None, "a bucket has at least one point"
        least, most = self.minimum, self.maximum
        for point in points:
            value = point.value
            if point > last:
                increase += growth(last.value, value)
                last = point
            elif point < first:
                increase += growth(value, first.value)
                first = point
            if value < least:  # type: ignore[operator]
                least = value
            elif value > most:  # type: ignore[operator]
                most = value
            total += value
        self.first, self.last, self.sum, self.increase = first, last, total, increase
        self.minimum, self.maximum = least, most
        self.count += len(points)
        self.quantiles.add_all([point.value for point in points])

    def copied(self) -> Bucket:
        """The same, which nobody looks at."""
        return replace(self, quantiles=self.quantiles.copied(), is_shown=False)

    def absorb(self, other: Bucket, *, before: Bucket | None, quantiles: bool) -> None:
        """Take over another bucket. `before`: the one before it in its series, if there is one."""
        assert other.first is not None, "a bucket has at least one point"
        assert other.last is not None, "a bucket has at least one point"
        assert other.minimum is not None, "a bucket has at least one point"
        assert other.maximum is not None, "a bucket has at least one point"
        if before is not None and before.last is not None:
            self.increase += growth(before.last.value, other.first.value)
        self.increase += other.increase
        if self.first is None or other.first < self.first:
            self.first = other.first
        if self.last is None or other.last > self.last:
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
            if not self._starts or start > self._starts[-1]:
                self._starts.append(start)
            else:
                insort(self._starts, start)
            self._forget()
        elif bucket.is_shown:
            bucket = self._buckets[start] = bucket.copied()
        bucket.add(point)

    def add_all(self, points: Sequence[Stamped]) -> None:
        """`add` each in turn."""
        span_ms, at, count = self.span_ms, 0, len(points)
        while at < count:
            begin, ms = at, points[at].ms
            start = ms - ms % span_ms
            end = start + span_ms
            while at < count and start <= points[at].ms < end:
                at += 1
            self.add(points[begin])
            bucket = self._buckets.get(start)
            if bucket is not None and begin + 1 < at:
                bucket.add_all(points[begin + 1 : at])

    def between(self, start_ms: int, end_ms: int) -> Iterator[tuple[int, Bucket]]:
        """Buckets that begin in the range, in order; the last one before it comes first."""
        first = max(0, bisect_left(self._starts, start_ms) - 1)
        for at in range(first, bisect_left(self._starts, end_ms)):
            yield self._starts[at], self._buckets[self._starts[at]]

    def shown(self, start_ms: int, end_ms: int) -> list[tuple[int, Bucket]]:
        """`between`, of this moment: what comes later changes copies of them."""
        found = list(self.between(start_ms, end_ms))
        for _, bucket in found:
            bucket.is_shown = True
        return found

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
