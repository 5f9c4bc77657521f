"""Sums of products, compiled: what math.fsum says, to the last bit, or nothing."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable
from operator import mul
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.contracts.vectors import Metric, distance, length, packed, unpacked

SEED = 20_261_130
Values = list[float]
Pairs = list[tuple[float, float]]
Sum = Callable[[Values, Values], float]
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=40)


def bits(values: Values) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def right_dot(a: Values, b: Values) -> float:
    return math.fsum(map(mul, a, b))


def right_apart(a: Values, b: Values) -> float:
    gaps = [x - y for x, y in zip(a, b, strict=True)]
    return math.fsum(map(mul, gaps, gaps))


SUMS = pytest.mark.parametrize(
    ("name", "right"), [("dot", right_dot), ("apart", right_apart)], ids=["dot", "apart"]
)


@SUMS
@given(pairs=PAIRS)
def test_it_says_what_fsum_says_or_nothing(core: Any, name: str, right: Sum, pairs: Pairs) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    found = getattr(core, name)(bits(a), bits(b))
    assert found is None or found == right(a, b)


@SUMS
@pytest.mark.parametrize("dims", [1, 3, 4, 5, 48, 384, 1536])
def test_it_says_something_of_most(core: Any, name: str, right: Sum, dims: int) -> None:
    """Not of ties, which are as frequent as sums are short."""
    chance, said = random.Random(SEED + dims), 0
    for _ in range(200):
        a, b = (list(unpacked(packed(_row(chance, dims)))) for _ in "ab")
        found = getattr(core, name)(bits(a), bits(b))
        assert found in (None, right(a, b)), f"seed {SEED + dims}"
        said += found is not None
    assert said > 150, f"seed {SEED + dims}"


def _row(chance: random.Random, count: int) -> Values:
    return [chance.gauss(0, 1) for _ in range(count)]


def test_what_nearly_cancels_is_right_too(core: Any) -> None:
    chance = random.Random(SEED)
    for _ in range(500):
        a = list(unpacked(packed(_row(chance, 20))))
        b = list(unpacked(packed(_row(chance, 20))))
        tiny = list(unpacked(packed([chance.gauss(0, 1e-18)])))
        x, y = [*a, *tiny, *a], [*b, 1.0, *[-value for value in b]]
        order = list(range(len(x)))
        chance.shuffle(order)
        x, y = [x[n] for n in order], [y[n] for n in order]
        assert right_dot(x, y) == tiny[0]
        assert core.dot(bits(x), bits(y)) in (None, tiny[0]), f"seed {SEED}"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1.0, 2.0**-27], [1.0, 2.0**-26]),
        ([1.0, -(2.0**-27)], [1.0, 2.0**-27]),
        ([1.0 + 2.0**-23, 2.0**-27], [1.0, 2.0**-26]),
    ],
    ids=["to even, down", "below one", "above one"],
)
def test_what_lies_halfway_is_left_to_fsum(core: Any, a: Values, b: Values) -> None:
    """Between two doubles exactly, or so nearly that the sum cannot tell."""
    found = core.dot(bits(a), bits(b))
    assert found in (None, right_dot(a, b))
    assert distance(Metric.DOT, bits(a), bits(b)) == -right_dot(a, b)


def test_a_tie_is_seen(core: Any) -> None:
    assert core.dot(bits([1.0, 2.0**-27]), bits([1.0, 2.0**-26])) is None


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_not_ours(core: Any, odd: float) -> None:
    assert core.dot(bits([odd, 1.0]), bits([1.0, 1.0])) is None
    assert core.apart(bits([odd, 1.0]), bits([1.0, 1.0])) is None


def test_no_numbers_are_nothing(core: Any) -> None:
    assert core.dot(b"", b"") == 0.0
    assert core.apart(b"", b"") == 0.0


@pytest.mark.parametrize("call", ["dot", "apart"])
def test_what_are_no_two_vectors_is_refused(core: Any, call: str) -> None:
    for wrong in [(), (b"",), (b"", b"", b""), (b"1234", bytearray(4)), (None, b"")]:
        with pytest.raises(TypeError, match="a: bytes, b: bytes"):
            getattr(core, call)(*wrong)
    for wrong in [(b"1234", b""), (b"123", b"123"), (bytes(8), bytes(4))]:
        with pytest.raises(ValueError, match="of one length"):
            getattr(core, call)(*wrong)


@pytest.mark.parametrize("metric", list(Metric))
def test_a_distance_is_the_same_without_it(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(SEED + 1)
    pairs = [(packed(_row(chance, 96)), packed(_row(chance, 96))) for _ in range(100)]
    compiled = [(distance(metric, a, b), length(a)) for a, b in pairs]
    monkeypatch.setattr("eventspine.contracts.vectors.core", None)
    assert [(distance(metric, a, b), length(a)) for a, b in pairs] == compiled
