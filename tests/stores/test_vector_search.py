"""Search beside brute force in plain Python: recall is exactly 1, with and without filters."""

from __future__ import annotations

import builtins
import random
from collections.abc import Callable
from math import sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventspine.actors.states import vector_rows
from eventspine.actors.states.vector_points import Points
from eventspine.actors.states.vector_rows import rows_of
from eventspine.contracts.errors import ExtraMissing, InvalidRequest
from eventspine.contracts.vector_filter import Filter, compiled
from eventspine.contracts.vectors import (
    COMPONENT_MAX,
    LENGTH_MIN,
    CollectionInfo,
    Metric,
    Neighbour,
    VectorPoint,
    packed,
    unpacked,
)
from eventspine.services.vector_plan import Search, find
from tests.inner import examples

SEED = 20261124
METRICS = pytest.mark.parametrize("metric", list(Metric))


def nearest(points: Points, query: bytes, k: int, matching: Filter | None) -> list[Neighbour]:
    found = find(points, None, Search(query, k, matching, 1))
    assert (found.engine, found.exact) == ("numpy", True)
    return found


def point(id: str, values: Any, json: bytes = b"{}") -> VectorPoint:
    return VectorPoint(id, packed(values), json, 1, "")


def points(metric: Metric, *found: VectorPoint) -> Points:
    dimensions = len(found[0].values) if found else 1
    return Points(CollectionInfo("c", dimensions, metric, len(found), ""), rows_of(found))


def seeded(count: int, dimensions: int, seed: int = SEED) -> list[VectorPoint]:
    """Points about a few topics, as embeddings are."""
    chance = random.Random(seed)
    topics = [[chance.gauss(0, 1) for _ in range(dimensions)] for _ in range(7)]
    found = []
    for n in range(count):
        topic = chance.randrange(7)
        values = [value + chance.gauss(0, 0.4) for value in topics[topic]]
        json = b'{"topic":%d,"lang":"%s","n":%d}' % (topic, chance.choice([b"en", b"de"]), n)
        found.append(point(f"p{chance.randrange(10**9)}-{n}", values, json))
    return found


def brute(
    metric: Metric, all_of_them: list[VectorPoint], query: list[float], k: int
) -> list[tuple[float, str]]:
    """Nothing of ours: plain loops over what is kept."""
    asked = unpacked(packed(query))
    found = []
    for one in all_of_them:
        dot = sum(a * b for a, b in zip(asked, one.values, strict=True))
        if metric is Metric.DOT:
            far = -dot
        elif metric is Metric.L2:
            far = sqrt(sum((a - b) ** 2 for a, b in zip(asked, one.values, strict=True)))
        else:
            lengths = sqrt(sum(a * a for a in asked)) * sqrt(sum(b * b for b in one.values))
            far = 1 - dot / lengths
        found.append((far, one.id))
    return sorted(found)[:k]


def check(
    metric: Metric,
    found: list[VectorPoint],
    query: list[float],
    k: int,
    stated: Any = None,
    keep: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> None:
    answer = nearest(points(metric, *found), packed(query), k, compiled(stated))
    expected = brute(metric, [one for one in found if keep(one.metadata)], query, k)
    assert [one.id for one in answer] == [id for _, id in expected], f"seed {SEED}"
    for one, (far, _) in zip(answer, expected, strict=True):
        assert one.distance == pytest.approx(far, rel=1e-9, abs=1e-12)


@METRICS
def test_recall_is_one(metric: Metric) -> None:
    found = seeded(3000, 48)
    chance = random.Random(SEED + 1)
    for k in (1, 10, 100):
        query = [chance.gauss(0, 1) for _ in range(48)]
        check(metric, found, query, k)
        check(metric, found, query, k, {"lang": "en"}, lambda m: m["lang"] == "en")
        few = {"n": {"gte": 100, "lt": 120}, "topic": {"in": [1, 2, 3]}}
        check(
            metric, found, query, k, few, lambda m: 100 <= m["n"] < 120 and m["topic"] in (1, 2, 3)
        )
        check(metric, found, query, k, {"lang": "xx"}, lambda m: False)


@METRICS
def test_recall_is_one_over_more_than_one_chunk(
    metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_rows, "BLOCK_BYTES", 4 * 16 * 37)
    check(metric, seeded(500, 16), [0.25] * 16, 40)


@METRICS
def test_what_single_precision_cannot_tell_apart_is_told_apart(metric: Metric) -> None:
    """A thousand vectors whose distances differ by less than float32 rounds."""
    chance = random.Random(SEED)
    near = [point(f"{n:04d}", [1000 + chance.random() * 1e-3, 1, 1]) for n in range(1000)]
    check(metric, near, [1000, 1, 1.5], 20)


@METRICS
def test_far_from_the_origin_where_squares_cancel(metric: Metric) -> None:
    """In single precision, the squares of these distances are off by more than they are."""
    chance = random.Random(SEED)
    found = [point(f"{n:04d}", [1000 + chance.gauss(0, 1) for _ in range(24)]) for n in range(3000)]
    check(metric, found, [1000 + chance.gauss(0, 1) for _ in range(24)], 10)


def test_as_many_equally_far_as_there_are_points() -> None:
    """All of one direction: nothing can be ruled out, and ties go by id."""
    found = [point(f"{n:04d}", [2.0 ** (n % 8), 2.0 ** (n % 8)]) for n in range(3000, 0, -1)]
    answer = nearest(points(Metric.COSINE, *found), packed([1, 1]), 7, None)
    assert [one.id for one in answer] == [f"{n:04d}" for n in range(1, 8)]


@METRICS
def test_ties_go_by_id_and_more_of_them_than_are_measured_at_first(metric: Metric) -> None:
    same = [point(id, [3, 4]) for id in "zyxwvutsrqponmlkjihgfedcba"] * 4
    many = [VectorPoint(f"{one.id}{n}", one.vector, b"{}", 1, "") for n, one in enumerate(same)]
    answer = nearest(points(metric, *many), packed([1, 2]), 5, None)
    assert [one.id for one in answer] == sorted(one.id for one in many)[:5]
    assert len({one.distance for one in answer}) == 1


@METRICS
def test_the_largest_and_the_smallest_that_are_allowed(metric: Metric) -> None:
    big, small = COMPONENT_MAX, LENGTH_MIN * 2
    found = [
        point("a", [big, big]),
        point("b", [big, -big]),
        point("c", [small, 0]),
        point("d", [-small, small]),
        point("e", [1, 0]),
    ]
    for query in ([big, 0], [small, small], [1.0, 2.0], [-big, big]):
        check(metric, found, query, 3)


@given(
    st.lists(
        st.tuples(*[st.floats(-1e6, 1e6, width=32).map(lambda x: round(x, 3))] * 3).filter(any),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from(Metric),
    st.integers(1, 5),
)
@settings(max_examples=examples(150), deadline=None)
def test_any_points_at_all(found: list[tuple[float, ...]], metric: Metric, k: int) -> None:
    """Distances, not ids: brute force rounds otherwise where two are nearly the same."""
    all_of_them = [point(f"{n:02d}", values) for n, values in enumerate(found)]
    query = [float(value) for value in found[-1]]
    answer = nearest(points(metric, *all_of_them), packed(query), k, None)
    scale = max(abs(value) for values in found for value in values) ** 2
    expected = [far for far, _ in brute(metric, all_of_them, query, k)]
    tolerance = 1e-12 + (scale * 1e-12 if metric is Metric.DOT else 0)
    got = [one.distance for one in answer]
    assert got == pytest.approx(expected, rel=1e-9, abs=tolerance)
    assert answer == sorted(answer, key=lambda one: (one.distance, one.id))


def test_nothing_is_found_where_nothing_is() -> None:
    assert nearest(points(Metric.L2), packed([1]), 5, None) == []


def test_without_the_library_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "numpy":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ExtraMissing, match=r'pip install "eventspine\[vector\]"'):
        nearest(points(Metric.L2), packed([1]), 5, None)


# --- filters ---

JSON = b'{"t":true,"f":false,"one":1,"half":0.5,"s":"x","nil":null,"list":[1],"o":{"a":1}}'


@pytest.mark.parametrize(
    ("stated", "matches"),
    [
        ({}, True),
        ({"one": 1}, True),
        ({"one": 1.0}, True),
        ({"one": True}, False),
        ({"t": True}, True),
        ({"t": 1}, False),
        ({"f": 0}, False),
        ({"nil": None}, True),
        ({"absent": None}, False),
        ({"s": "x", "one": 2}, False),
        ({"s": {"eq": "x"}}, True),
        ({"s": {"in": ["y", "x", 1]}}, True),
        ({"s": {"in": []}}, False),
        ({"list": {"in": [1]}}, False),
        ({"half": {"gt": 0.4, "lt": 0.6}}, True),
        ({"half": {"gte": 0.5, "lte": 0.5}}, True),
        ({"half": {"gt": 0.5}}, False),
        ({"s": {"gt": 0}}, False),
        ({"t": {"gte": 0}}, False),
        ({"absent": {"lt": 9}}, False),
        ({"one": {"lt": 10**400}}, True),
    ],
)
def test_a_filter(stated: Any, matches: bool) -> None:
    matching, one = compiled(stated), point("a", [1], JSON)
    assert (matching is None or list(matching([one])) == [one]) is matches


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        "lang = 'en'",
        {1: 2},
        {"a": {}},
        {"a": {"like": "x"}},
        {"a": {1: 2}},
        {"a": {"in": 1}},
        {"a": {"in": "abc"}},
        {"a": {"in": [[1]]}},
        {"a": {"in": [0] * 1001}},
        {"a": [1]},
        {"a": {"eq": {}}},
        {"a": {"gt": "1"}},
        {"a": {"gt": True}},
        {"a": {"lt": float("nan")}},
        {"a": float("nan")},
        {f"{n}": 1 for n in range(33)},
    ],
)
def test_a_filter_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidRequest):
        compiled(wrong)
