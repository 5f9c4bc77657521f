"""Percentiles from merged buckets beside those of all the values, sorted."""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right

import pytest

from eventspine.actors.states import quantiles
from eventspine.actors.states.quantiles import EXACT_MAX, Quantiles
from eventspine.contracts.errors import ExtraMissing

RANKS = (0.0, 0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
ERROR_MAX = 0.02


def drawn(shape: str, count: int, seed: int) -> list[float]:
    dice = random.Random(f"{shape} {seed}")
    if shape == "sorted":
        return [float(n) for n in range(count)]
    if shape == "heavy":
        return [dice.paretovariate(1.1) for _ in range(count)]
    if shape == "few":
        return [float(dice.randrange(5)) for _ in range(count)]
    return [dice.gauss(100, 15) for _ in range(count)]


def of(values: list[float]) -> Quantiles:
    made = Quantiles()
    for value in values:
        made.add(value)
    return made


def rank_error(values: list[float], answered: float, rank: float) -> float:
    """How far the rank of an answer is from the one asked for; equal values have a span."""
    ordered = sorted(values)
    low = bisect_left(ordered, answered) / len(ordered)
    high = bisect_right(ordered, answered) / len(ordered)
    return max(0.0, low - rank, rank - high)


@pytest.mark.parametrize("shape", ["normal", "heavy", "sorted", "few"])
@pytest.mark.parametrize("parts", [1, 7, 400])
def test_percentiles_of_merged_buckets_are_within_two_percent(shape: str, parts: int) -> None:
    for seed in range(3):
        values = drawn(shape, 20_000, seed)
        size = -(-len(values) // parts)
        whole = Quantiles()
        for at in range(0, len(values), size):
            whole.merge(of(values[at : at + size]))
        for rank in RANKS:
            error = rank_error(values, whole.at(rank), rank)
            assert error <= ERROR_MAX, f"{shape}, {parts} parts, seed {seed}, rank {rank}"


def test_a_percentile_is_no_average_of_percentiles() -> None:
    """Sorted values, so that every part has other percentiles than the whole."""
    values = drawn("sorted", 10_000, 0)
    parts = [of(values[at : at + 100]) for at in range(0, 10_000, 100)]
    average = sum(part.at(0.99) for part in parts) / len(parts)
    assert rank_error(values, average, 0.99) > 0.4, "what an average would be"
    whole = Quantiles()
    for part in parts:
        whole.merge(part)
    assert rank_error(values, whole.at(0.99), 0.99) <= ERROR_MAX


@pytest.mark.parametrize("count", [1, 2, 3, 10, EXACT_MAX])
def test_few_values_are_exact_however_they_are_merged(count: int) -> None:
    dice = random.Random(count)
    values = [dice.uniform(-5, 5) for _ in range(count)]
    whole = Quantiles()
    for value in values:
        whole.merge(of([value]))
    for rank in RANKS:
        exact = sorted(values)[max(0, math.ceil(rank * count - 1e-9) - 1)]
        assert whole.at(rank) == of(values).at(rank) == exact


def test_merging_leaves_the_other_as_it_is() -> None:
    for count in (10, 1000):
        other = of([float(n) for n in range(count)])
        before = other.at(0.5)
        for _ in range(3):
            whole = of([1e6] * 500)
            whole.merge(other)
        assert other.at(0.5) == before
        assert other.at(1.0) == count - 1


def test_without_the_library_percentiles_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quantiles, "sketch_type", lambda: None)
    made = of([float(n) for n in range(1000)])
    made.merge(of([1.0]))
    for some in (made, of([1.0])):
        with pytest.raises(ExtraMissing, match=r'pip install "eventspine\[metrics\]"'):
            some.at(0.5)
