"""Newest values as Prometheus text, format 0.0.4.

Rules: a character that a name may not have becomes `_`. Series that are the same afterwards, or
because their tags are not in the allow-list, are one: the newest value stays. No more than so many
series are written, in the order of their names, and a comment says how many are missing: a label
with an id in it must not take the monitoring down. No timestamps: Prometheus drops what is older
than five minutes, and a KPI of this morning still holds.
Source: KIND-10; the text format of Prometheus.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from eventspine.contracts.metrics import Point

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]")
Labels = tuple[tuple[str, str], ...]


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families

    def describe(self) -> list[Metric]:
        return []


def exposition(points: Iterable[Point], labels: Collection[str] | None, series_max: int) -> bytes:
    """The text. `labels`: tags that become labels; None: all of them."""
    series: dict[tuple[str, Labels], Point] = {}
    for point in points:
        key = _name(point.metric_name), _labels(point, labels)
        if key not in series or series[key].ts <= point.ts:
            series[key] = point
    shown = sorted(series)[:series_max]
    families: dict[str, GaugeMetricFamily] = {}
    for name, pairs in shown:
        family = families.get(name)
        if family is None:
            family = families[name] = GaugeMetricFamily(name, "The newest value.")
        family.add_sample(name, dict(pairs), float(series[name, pairs].value))
    registry = CollectorRegistry()
    registry.register(_Families(families.values()))
    text: bytes = generate_latest(registry)
    missing = len(series) - len(shown)
    if missing:
        text += f"# {missing} series are left out: metrics_exposed_max is {series_max}\n".encode()
    return text


def _name(metric_name: str) -> str:
    name = _NOT_IN_NAMES.sub("_", metric_name)
    return f"_{name}" if name[0].isdigit() else name


def _labels(point: Point, wanted: Collection[str] | None) -> Labels:
    found: dict[str, str] = {}
    for tag, text in sorted(point.tags.items()):
        if wanted is None or tag in wanted:
            name = _NOT_IN_LABELS.sub("_", tag)
            if name[0].isdigit() or name.startswith("__"):  # two _ are Prometheus' own
                name = f"tag_{name}"
            found[name] = text
    return tuple(sorted(found.items()))
