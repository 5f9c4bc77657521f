"""What a question about metrics is answered from: what matched, as it was at one moment. Pure.

Rules: a view is taken in one go, which costs references and no sums, and does not change any more:
buckets are copied before they take another point. So its answers can be worked out on another
thread, and tell of one moment, however long that takes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from eventspine.actors.states.downsampling import largest_triangles
from eventspine.actors.states.metric_windows import windows_of
from eventspine.actors.states.resolution import Resolution
from eventspine.actors.states.rollups import Bucket, RolledUp, Stamped
from eventspine.contracts.errors import TooLarge
from eventspine.contracts.metrics import (
    Group,
    Grouped,
    Number,
    Point,
    Question,
    Tier,
    Window,
    Windows,
    iso,
)

_ms = attrgetter("ms")


class RawSeries(NamedTuple):
    """The points of one series that are kept as they were; `in_order` of time, or of arrival."""

    metric_name: str
    tags: Mapping[str, str]
    points: Sequence[Stamped]
    in_order: bool

    def between(self, start_ms: int, end_ms: int) -> tuple[Sequence[Stamped], int, int]:
        """The points in order, and where those of a range begin and end."""
        ordered = self.points if self.in_order else sorted(self.points)
        start = bisect_left(ordered, start_ms, key=_ms)
        return ordered, start, bisect_left(ordered, end_ms, start, key=_ms)

    def as_point(self, stamped: Stamped) -> Point:
        source = stamped.source or None
        return Point(self.metric_name, stamped.value, iso(stamped.ms), dict(self.tags), source)


class PointsView(NamedTuple):
    """The points of some series in a range of time."""

    series: Sequence[RawSeries]
    start_ms: int
    end_ms: int

    @property
    def size(self) -> int:
        return sum(len(one.points) for one in self.series)

    def newest(self, limit: int) -> list[Point]:
        """At most so many, in the order of time."""
        return [series.as_point(point) for point, series in self._newest(limit)]

    def downsampled(self, count: int, read_max: int) -> list[Point]:
        """`count` of the newest `read_max`, which in a chart look most like all of them."""
        found = self._newest(read_max)
        kept = largest_triangles([(p.ms, float(p.value)) for p, _ in found], count)
        return [found[at][1].as_point(found[at][0]) for at in kept]

    def _newest(self, limit: int) -> list[tuple[Stamped, RawSeries]]:
        spans = [(one, *one.between(self.start_ms, self.end_ms)) for one in self.series]
        since_ms = _since([span[1:] for span in spans], limit)
        found: list[tuple[Stamped, RawSeries]] = []
        for one, ordered, start, end in spans:
            first = bisect_left(ordered, since_ms, start, end, key=_ms)
            found += [(point, one) for point in ordered[first:end]]
        if len(self.series) > 1:
            found.sort(key=_of_point)
        return found[-limit:]


class SeriesView(NamedTuple):
    """What one series has for windows: buckets of a tier, or its points."""

    tags: Mapping[str, str]
    buckets: Sequence[tuple[int, Bucket]] | RawSeries

    def buckets_of(self, asked: Resolution) -> Iterator[tuple[int, Bucket]]:
        """Buckets in the order of time; the last one before the range, if it is kept, is first."""
        if not isinstance(self.buckets, RawSeries):
            return iter(self.buckets)
        ordered, start, end = self.buckets.between(asked.start_ms, asked.end_ms)
        made = RolledUp(asked.step_ms, end - start + 1)
        for point in ordered[max(0, start - 1) : end]:
            made.add(point)
        return made.between(asked.start_ms, asked.end_ms)

    def how_many(self, asked: Resolution) -> int:
        if not isinstance(self.buckets, RawSeries):
            return len(self.buckets)
        _, start, end = self.buckets.between(asked.start_ms, asked.end_ms)
        return end - start


class WindowsView(NamedTuple):
    """What windows are made of. `complete`: whether the tier has everything from the start on."""

    metric_name: str
    question: Question
    asked: Resolution
    complete: bool
    series: Sequence[SeriesView]
    windows_max: int
    buckets_max: int

    @property
    def size(self) -> int:
        return sum(
            len(one.buckets.points if isinstance(one.buckets, RawSeries) else one.buckets)
            for one in self.series
        )

    def windows(self) -> Windows:
        """All series together. Raises TooLarge, ExtraMissing."""
        self._check_size()
        return Windows(*self._about(), self._filled(self.series))

    def grouped(self) -> Grouped:
        """Series with the same values of the tags in `group_by` together; without one, it is "".

        Raises:
            TooLarge: all groups have more than `windows_max` windows, or there is too much to read.
            ExtraMissing: percentiles need a library that is not there.
        """
        self._check_size()
        groups: dict[tuple[str, ...], list[SeriesView]] = {}
        for one in self.series:
            values = tuple(one.tags.get(name, "") for name in self.question.group_by)
            groups.setdefault(values, []).append(one)
        self._check_windows(len(groups))
        return Grouped(
            *self._about(),
            [
                Group(dict(zip(self.question.group_by, values, strict=True)), self._filled(series))
                for values, series in sorted(groups.items())
            ],
        )

    def _about(self) -> tuple[str, str, str, str, Number, Tier, bool]:
        asked = self.asked
        return (
            self.metric_name,
            self.question.aggregate.name,
            iso(asked.start_ms),
            iso(asked.end_ms),
            asked.step_ms // 1000 if asked.step_ms % 1000 == 0 else asked.step_ms / 1000,
            asked.tier,
            self.complete,
        )

    def _check_size(self) -> None:
        buckets = sum(one.how_many(self.asked) for one in self.series)
        if buckets > self.buckets_max:
            raise TooLarge(
                f"{buckets} buckets or points to be read; ask for fewer series, a shorter range, "
                "or a step of whole hours or days",
                limit="metrics_buckets_read_max",
                maximum=self.buckets_max,
                actual=buckets,
            )

    def _check_windows(self, groups: int) -> None:
        if groups * self.asked.windows > self.windows_max:
            raise TooLarge(
                f"{groups} groups of {self.asked.windows} windows; ask for fewer tags to group by, "
                "a larger step or a shorter range",
                limit="metrics_windows_max",
                maximum=self.windows_max,
                actual=groups * self.asked.windows,
            )

    def _filled(self, series: Iterable[SeriesView]) -> list[Window]:
        buckets = (one.buckets_of(self.asked) for one in series)
        return windows_of(buckets, self.asked, self.question)


def _since(spans: Sequence[tuple[Sequence[Stamped], int, int]], limit: int) -> int:
    """The latest time from which on there are `limit` points or more; 0 if there are fewer.

    So that only those are sorted: sorting hundreds of thousands is one step of the interpreter, for
    which the loop would have to wait, on whatever thread it is.
    """
    there = [span for span in spans if span[1] < span[2]]
    if sum(end - start for _, start, end in there) <= limit:
        return 0
    low = min(ordered[start].ms for ordered, start, _ in there)
    high = max(ordered[end - 1].ms for ordered, _, end in there)
    while low < high:
        middle = (low + high + 1) // 2
        behind = sum(
            end - bisect_left(ordered, middle, start, end, key=_ms) for ordered, start, end in there
        )
        low, high = (middle, high) if behind >= limit else (low, middle - 1)
    return low


def _of_point(one: tuple[Stamped, RawSeries]) -> tuple[int, int]:
    return one[0].ms, one[0].sequence
