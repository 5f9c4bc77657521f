"""Largest Triangle Three Buckets: what stays, and that it is what the definition says."""

from __future__ import annotations

import itertools
import math
import random

from hypothesis import given
from hypothesis import strategies as st

from eventspine.actors.states.downsampling import largest_triangles

VALUES = st.lists(st.integers(-1000, 1000), min_size=3, max_size=80)


@given(VALUES, st.integers(3, 90))
def test_so_many_stay_in_order_with_both_ends(values: list[int], count: int) -> None:
    points = [(float(n * n), float(value)) for n, value in enumerate(values)]
    kept = largest_triangles(points, count)
    assert len(kept) == min(count, len(points))
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, len(points) - 1)


@given(VALUES, st.integers(3, 30))
def test_each_is_the_largest_triangle_of_its_part(values: list[int], count: int) -> None:
    """The definition, written down plainly: areas by the formula of the three corners."""
    points = [(1.7e12 + n, float(value)) for n, value in enumerate(values)]
    if len(points) <= count:
        assert largest_triangles(points, count) == list(range(len(points)))
        return
    edges = [1 + (len(points) - 2) * n // (count - 2) for n in range(count - 1)]
    parts = [points[a:b] for a, b in itertools.pairwise(edges)] + [points[-1:]]
    kept = [points[at] for at in largest_triangles(points, count)]
    for n, part in enumerate(parts[:-1]):
        middle = tuple(
            sum(one[axis] for one in parts[n + 1]) / len(parts[n + 1]) for axis in (0, 1)
        )
        areas = {one: area(kept[n], one, middle) for one in part}
        assert math.isclose(areas[kept[n + 1]], max(areas.values()), rel_tol=1e-6, abs_tol=1e-2)


def area(a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...]) -> float:
    origin = a[0]
    (ax, ay), (bx, by), (cx, cy) = [(x - origin, y) for x, y in (a, b, c)]
    return abs(ax * (by - cy) + bx * (cy - ay) + cx * (ay - by)) / 2


def test_a_peak_among_very_many_points_stays() -> None:
    dice = random.Random(7)
    points = [(float(n), dice.gauss(0, 1)) for n in range(20_000)]
    points[12_345] = (12_345.0, 100.0)
    assert 12_345 in largest_triangles(points, 100)
