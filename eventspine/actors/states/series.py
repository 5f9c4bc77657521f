"""One series of a metrics store: a metric with one set of tags; its newest points and its tiers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice

from eventspine.actors.states.resolution import SPANS, Resolution
from eventspine.actors.states.rollups import Bucket, RolledUp, Stamped
from eventspine.contracts.metrics import Point, Tier, iso

# Three days, ninety days, ten years, where there is a point in every bucket.
BUCKETS_KEPT: dict[Tier, int] = {"1m": 4320, "1h": 2160, "1d": 3660}


class Series:
    __slots__ = ("_in_order", "_raw_kept_from", "latest", "metric_name", "points", "tags", "tiers")

    def __init__(self, metric_name: str, tags: Mapping[str, str]) -> None:
        self.metric_name = metric_name
        self.tags = tags
        self.points: deque[Stamped] = deque()
        self.latest: Stamped | None = None
        self.tiers = {tier: RolledUp(SPANS[tier], kept) for tier, kept in BUCKETS_KEPT.items()}
        self._raw_kept_from = 0
        self._in_order = True  # whether `points` are in the order of time

    def add(self, point: Stamped) -> None:
        self.points.append(point)
        if self.latest is None or point[:2] > self.latest[:2]:
            self.latest = point
        else:
            self._in_order = False
        for tier in self.tiers.values():
            tier.add(point)

    def forget_one(self) -> None:
        """The oldest point is no longer kept as it is; it stays in the tiers."""
        self._raw_kept_from = max(self._raw_kept_from, self.points.popleft().ms + 1)

    def kept_from(self, tier: Tier) -> int:
        return self._raw_kept_from if tier == "raw" else self.tiers[tier].kept_from

    def has(self, tags: Mapping[str, str]) -> bool:
        return all(self.tags.get(name) == value for name, value in tags.items())

    def as_point(self, stamped: Stamped) -> Point:
        return Point(
            self.metric_name, stamped.value, iso(stamped.ms), dict(self.tags), stamped.source
        )

    def backwards(self, start_ms: int, end_ms: int) -> Iterator[Stamped]:
        """The points of a range of time that are kept as they were, the newest first."""
        for point in reversed(self._ordered()):
            if point.ms < start_ms:
                return
            if point.ms < end_ms:
                yield point

    def _ordered(self) -> deque[Stamped]:
        """`points` in the order of time: sorted when somebody asks, not with every late one."""
        if not self._in_order:
            self.points = deque(sorted(self.points))
            self._in_order = True
        return self.points

    # --- for windows ---

    def how_many(self, asked: Resolution) -> int:
        """How many buckets or points have to be looked at."""
        if asked.tier == "raw":
            return sum(1 for _ in self.backwards(asked.start_ms, asked.end_ms))
        return self.tiers[asked.tier].how_many(asked.start_ms, asked.end_ms)

    def buckets(self, asked: Resolution) -> Iterator[tuple[int, Bucket]]:
        """Buckets in the order of time; the last one before the range, if it is kept, is first."""
        if asked.tier != "raw":
            return self.tiers[asked.tier].between(asked.start_ms, asked.end_ms)
        found = list(self.backwards(asked.start_ms, asked.end_ms))
        found += islice(self.backwards(0, asked.start_ms), 1)
        made = RolledUp(asked.step_ms, len(found))
        for point in reversed(found):
            made.add(point)
        return made.between(asked.start_ms, asked.end_ms)
