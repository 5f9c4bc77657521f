"""Windows: what the buckets of several series add up to, step by step. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from eventspine.actors.states.resolution import Resolution
from eventspine.actors.states.rollups import Bucket
from eventspine.contracts.metrics import Aggregate, Number, Question, Window, iso

Buckets = Iterable[tuple[int, Bucket]]  # of one series, in the order of time


def windows_of(series: Iterable[Buckets], asked: Resolution, question: Question) -> list[Window]:
    """The windows of all series together, filled where there are no points.

    Raises:
        ExtraMissing: percentiles need a library that is not there.
    """
    merged = _merged(series, asked, quantiles=question.aggregate.rank is not None)
    return list(_filled(merged, asked, question))


def _merged(series: Iterable[Buckets], asked: Resolution, *, quantiles: bool) -> dict[int, Bucket]:
    windows: dict[int, Bucket] = {}
    for one in series:
        before: Bucket | None = None
        for start, bucket in one:
            if start >= asked.start_ms:
                at = start - start % asked.step_ms
                window = windows.get(at)
                if window is None:
                    window = windows[at] = Bucket()
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
            found = _value_of(bucket, question.aggregate, asked.step_ms)
            if question.fill == "previous":
                value = found
            yield Window(iso(start), found, bucket.count)
        elif question.fill != "none":
            yield Window(iso(start), value, 0)


def _value_of(bucket: Bucket, aggregate: Aggregate, step_ms: int) -> Number:
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
