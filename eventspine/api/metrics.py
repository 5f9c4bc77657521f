"""Prometheus metrics: numbers of the spine and of the answers given, read when they are asked for.

Own registry, so that an embedding program's metrics and ours do not meet. Labels are names of
backends and services, address templates, methods and statuses, never ids: a label per tenant is a
series per tenant.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from eventspine.api.service import SpineService

MEDIA_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
Counts = Mapping[tuple[str, str, int], int]

# Fields that only ever grow; everything else can also fall, and is a gauge.
_COUNTED = frozenset(
    ["turns", "batches", "items", "bytes", "commits", "events", "refusals", "commit_s_total"]
    + ["passivated", "activations", "activation_failures", "crashes", "resets"]
    + ["restarts", "outages", "opened", "stored", "failed", "lost"]
    + ["copied_events", "copied_bytes", "falls"]
    + [f"{why}_refused" for why in ("deadlocks", "overloaded", "deadline", "quarantined")]
    + ["draining_refused"]
)


class Sample(NamedTuple):
    name: str
    labels: Labels
    value: Any  # a number, or what has count, sum_s and buckets
    kind: str


class Metrics:
    def __init__(self, spine: SpineService, answers: Counts) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_SpineCollector(spine))
        self._registry.register(_AnswerCollector(answers))

    def exposition(self) -> bytes:
        return generate_latest(self._registry)


class _SpineCollector(Collector):
    """Every number in `spine.statistics()`, named by its path: eventspine_writer_commits."""

    def __init__(self, spine: SpineService) -> None:
        self._spine = spine

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Any] = {}
        for sample in samples("eventspine", self._spine.statistics(), ()):
            family = families.get(sample.name)
            if family is None:
                family = families[sample.name] = _family(sample)
            labels = [text for _, text in sample.labels]
            if sample.kind == "histogram":
                family.add_metric(labels, _buckets(sample.value), sample.value.sum_s)
            else:
                family.add_metric(labels, sample.value)
        yield from families.values()

    def describe(self) -> list[Metric]:
        return []  # the families are known only when they are collected


class _AnswerCollector(Collector):
    def __init__(self, answers: Counts) -> None:
        self._answers = answers

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "eventspine_http_requests",
            "Answers by address template and status; 499: the client left first.",
            labels=["method", "template", "status"],
        )
        for (method, template, status), count in sorted(self._answers.items()):
            family.add_metric([method, template, str(status)], count)
        yield family


def _family(sample: Sample) -> Any:
    text = sample.name.removeprefix("eventspine_").replace("_", " ")
    names = [label for label, _ in sample.labels]
    if sample.kind == "histogram":
        return HistogramMetricFamily(sample.name, text + " in seconds", labels=names)
    if sample.kind == "counter":
        return CounterMetricFamily(sample.name, text, labels=names)
    return GaugeMetricFamily(sample.name, text, labels=names)


def _buckets(timing: Any) -> list[tuple[str, float]]:
    """Cumulative, by powers of two of a microsecond, up to the last one that holds something."""
    total, rows = 0, []
    for exponent, count in enumerate(timing.buckets):
        total += count
        rows.append((repr(2.0**exponent / 1e6), float(total)))
        if total >= timing.count:
            break
    return [*rows, ("+Inf", float(timing.count))]


def samples(prefix: str, value: Any, labels: Labels, field: str = "") -> Iterator[Sample]:
    """The numbers in nested dataclasses, mappings and sequences of named things."""
    if isinstance(value, bool | int | float):
        counted = field in _COUNTED
        yield Sample(prefix, labels, float(value), "counter" if counted else "gauge")
    elif hasattr(value, "buckets"):
        yield Sample(f"{prefix}_seconds", labels, value, "histogram")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = getattr(value, "name", None)
        if isinstance(own, str) and not labels:
            labels = (("name", own),)
        for item in dataclasses.fields(value):
            name = prefix if item.name in ("hosts", "counters") else f"{prefix}_{item.name}"
            yield from samples(name, getattr(value, item.name), labels, item.name)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from samples(prefix, item, (*labels, ("of", str(key))), field)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from samples(prefix, item, labels, field)
