"""One series of a metrics store: a metric with one set of tags; its newest points and its tiers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from eventspine.actors.states.metric_views import RawSeries, SeriesView
from eventspine.actors.states.resolution import SPANS, Resolution
from eventspine.actors.states.rollups import RolledUp, Stamped
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

    def keep(self, point: Stamped) -> None:
        """Keep a point as it is; `roll_up` it, too."""
        self.points.append(point)
        if self.latest is None or point > self.latest:
            self.latest = point
        else:
            self._in_order = False

    def roll_up(self, point: Stamped) -> None:
        for tier in self.tiers.values():
            tier.add(point)

    def roll_up_all(self, points: Sequence[Stamped]) -> None:
        """`roll_up` each in turn."""
        for tier in self.tiers.values():
            tier.add_all(points)

    def forget_one(self) -> None:
        """The oldest point is no longer kept as it is; it stays in the tiers."""
        self._raw_kept_from = max(self._raw_kept_from, self.points.popleft().ms + 1)

    def kept_from(self, tier: Tier) -> int:
        return self._raw_kept_from if tier == "raw" else self.tiers[tier].kept_from

    def has(self, tags: Mapping[str, str]) -> bool:
        return all(self.tags.get(name) == value for name, value in tags.items())

    def as_point(self, stamped: Stamped) -> Point:
        source = stamped.source or None
        return Point(self.metric_name, stamped.value, iso(stamped.ms), dict(self.tags), source)

    # --- for views, which are of one moment ---

    def raw(self) -> RawSeries:
        return RawSeries(self.metric_name, self.tags, list(self.points), self._in_order)

    def view(self, asked: Resolution) -> SeriesView:
        """What windows are made of."""
        if asked.tier == "raw":
            return SeriesView(self.tags, self.raw())
        return SeriesView(self.tags, self.tiers[asked.tier].shown(asked.start_ms, asked.end_ms))
