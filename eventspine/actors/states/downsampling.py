"""Fewer points that look the same in a chart: Largest Triangle Three Buckets. Pure.

The first and the last point stay. What lies between is cut into as many parts of equal count as
there are points wanted, and of each part the point stays that makes the largest triangle with the
one that stayed before and the middle of the next part. Peaks survive; averages would flatten them.
Source: KIND-10; Steinarsson, "Downsampling Time Series for Visual Representation" (2013).
"""

from __future__ import annotations

from collections.abc import Sequence

Place = tuple[float, float]


def largest_triangles(points: Sequence[Place], count: int) -> list[int]:
    """Indices of `count` points, or of all if there are no more; `count` is 3 or more.

    Args:
        points: in the order of the first coordinate.
    """
    if len(points) <= count:
        return list(range(len(points)))
    parts, inner = count - 2, len(points) - 2
    bounds = [1 + inner * n // parts for n in range(parts + 1)]
    kept = [0]
    for n in range(parts):
        last = n == parts - 1
        behind = points[-1:] if last else points[bounds[n + 1] : bounds[n + 2]]
        kept.append(_largest(points, bounds[n], bounds[n + 1], points[kept[-1]], _middle(behind)))
    return [*kept, len(points) - 1]


def _middle(points: Sequence[Place]) -> Place:
    x0 = points[0][0]  # times are large, and their sums would lose what lies between them
    return (
        x0 + sum([x - x0 for x, _ in points]) / len(points),
        sum([y / len(points) for _, y in points]),
    )


def _largest(points: Sequence[Place], start: int, end: int, a: Place, c: Place) -> int:
    (ax, ay), (cx, cy) = a, c
    best, chosen = -1.0, start
    for at in range(start, end):
        x, y = points[at]
        area = abs((ax - cx) * (y - ay) - (ax - x) * (cy - ay))
        if area > best:
            best, chosen = area, at
    return chosen
