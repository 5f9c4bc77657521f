"""The nearest of some points, exactly: numpy looks at all of them, we measure the closest.

Job: what a search does on its thread, over points that no longer change. Three looks, each at what
the one before could not rule out: numpy in single precision at every row, numpy in double
precision at the closest, and `distance` at what is left. Each of the first two knows how wrong it
can be, so that its figures are bounds, and a point is ruled out if `k` others are nearer for
certain. The answer is exact, ties go by id, and another engine would give the same. Which points
are looked at, and when an approximate index chooses them, is vector_plan.py's.
Rules: `einsum` has numpy's own loops: one thread, and no interpreter lock while it runs. BLAS would
start threads of its own, which wait for each other when searches meet.
Refused: sqlite-vec, faiss, usearch's exact search, a loop of ours in C, matrix products by BLAS:
docs/decisions/0023-vector-engine.md.
Source: KIND-08.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from eventspine.actors.states.vector_rows import Block
from eventspine.contracts.errors import ExtraMissing
from eventspine.contracts.vectors import (
    Metric,
    Neighbour,
    VectorPoint,
    dimensions_of,
    distance,
    length,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SPARE_MAX = 1_024  # candidates beyond `k` before those are dropped that cannot be near enough
GATHER_SHARE = 0.25  # of a block: fewer rows are put together, more are looked at with all others
MEASURED_AT_ONCE = 1_024  # in double precision
FLOAT32, FLOAT64 = 2.0**-24, 2.0**-53  # what one operation rounds by
TINY32 = 2.0**-126  # what a product can lose to underflow


class Picked(NamedTuple):
    """Rows of a block that are looked at: of the first `length` all that are not dead, or some."""

    block: Block
    length: int
    dead: bytearray | None
    chosen: Sequence[int] | None = None


def nearest(rows: Iterable[Picked], metric: Metric, query: bytes, k: int) -> list[Neighbour]:
    """The `k` nearest of the points in these rows: nearest first, then by id. Blocks.

    Raises:
        ExtraMissing: the extra `vector` is not installed.
    """
    look = _Look(metric, query, k)
    close = _Close(k)
    for part in rows:
        look.scan(part, close)
    return look.answer(close.points())


def nearest_of(
    points: Sequence[VectorPoint], metric: Metric, query: bytes, k: int
) -> list[Neighbour]:
    """The same of a few points, wherever they are."""
    return _Look(metric, query, k).answer(points)


class _Close:
    """The rows that may be among the `k` nearest, as far as they were looked at."""

    def __init__(self, k: int) -> None:
        self._numpy = _loaded()
        self._k = k
        self._found: list[tuple[Block, NDArray[np.intp], Floats, Floats]] = []
        self._count = 0
        self._count_max = k + SPARE_MAX
        self.far = float("inf")  # `k` are as near as that, for certain

    def add(self, block: Block, rows: NDArray[np.intp], low: Floats, high: Floats) -> None:
        """Rows of a block whose distances are between `low` and `high`."""
        keep = self._numpy.flatnonzero(low <= self.far)
        if len(keep):
            self._found.append((block, rows[keep], low[keep], high[keep]))
            self._count += len(keep)
            if self._count > self._count_max:
                self._drop()
                self._count_max = 2 * self._count + SPARE_MAX

    def _drop(self) -> None:
        np = self._numpy
        if self._count > self._k:
            highs = np.concatenate([high for _, _, _, high in self._found])
            self.far = min(self.far, float(np.partition(highs, self._k - 1)[self._k - 1]))
        kept = []
        for block, rows, low, high in self._found:
            keep = low <= self.far
            if keep.any():
                kept.append((block, rows[keep], low[keep], high[keep]))
        self._found = kept
        self._count = sum([len(rows) for _, rows, _, _ in kept])

    def points(self) -> list[VectorPoint]:
        self._drop()
        return [block.points[row] for block, rows, _, _ in self._found for row in rows.tolist()]


class _Look:
    """One query, one metric."""

    def __init__(self, metric: Metric, query: bytes, k: int) -> None:
        self._numpy = np = _loaded()
        self._metric = metric
        self._k = k
        self._asked = query
        self._length = length(query)
        self._query = np.frombuffer(query, dtype="<f4")
        self._dimensions = dimensions_of(query)
        self._operations = 2 * self._dimensions + 32  # and twice as many as there are

    # --- every row, in single precision ---

    def scan(self, part: Picked, close: _Close) -> None:
        np, (block, length, dead, chosen) = self._numpy, part
        matrix = np.frombuffer(block.data, "<f4", length * self._dimensions)
        matrix = matrix.reshape(length, self._dimensions)
        squares = self._squares(block, matrix)
        if chosen is None and dead is None:
            rows = np.arange(length)
            dots = np.einsum("ij,j->i", matrix, self._query)
        else:
            if chosen is None:
                rows = np.flatnonzero(np.frombuffer(dead, np.uint8, length) == 0)
            else:
                rows = np.asarray(chosen, dtype=np.intp)
            squares = squares[rows]
            if len(rows) < GATHER_SHARE * length:
                dots = np.einsum("ij,j->i", matrix[rows], self._query)
            else:
                dots = np.einsum("ij,j->i", matrix, self._query)[rows]
        close.add(block, rows, *self._bounds(dots.astype(np.float64), squares))

    def _squares(self, block: Block, matrix: NDArray[np.float32]) -> Floats:
        """The squares of the rows' lengths, which stay with the block."""
        np, kept = self._numpy, block.kept
        if kept is None or len(kept) < len(matrix):
            kept = np.einsum("ij,ij->i", matrix, matrix).astype(np.float64)
            block.kept = kept
        found: Floats = kept[: len(matrix)]
        return found

    def _bounds(self, dots: Floats, squares: Floats) -> tuple[Floats, Floats]:
        """What the distances are at least and at most; of `l2` the squares."""
        error = self._operations * FLOAT32
        lost = self._dimensions * TINY32
        if self._metric is Metric.COSINE:
            near = dots / (self._numpy.sqrt(squares) * self._length)
            return 1.0 - error - near, 1.0 + error - near
        lengths = self._numpy.sqrt(squares + lost)
        if self._metric is Metric.DOT:
            wrong = error * self._length * lengths + lost
            return -dots - wrong, -dots + wrong
        far = squares + self._length**2 - 2 * dots
        wrong = error * (squares + 2 * self._length * lengths) + 4 * lost
        return far - wrong, far + wrong

    # --- what is close, in double precision ---

    def answer(self, points: Sequence[VectorPoint]) -> list[Neighbour]:
        """The nearest of some points."""
        if len(points) > self._k:
            points = self._closest(points)
        measured: dict[bytes, float] = {}
        for point in points:
            vector = point.vector
            if vector not in measured:
                measured[vector] = distance(self._metric, self._asked, vector, self._length)
        found = [Neighbour(point, measured[point.vector]) for point in points]
        return sorted(found, key=lambda one: (one.distance, one.point.id))[: self._k]

    def _closest(self, points: Sequence[VectorPoint]) -> list[VectorPoint]:
        """Those of more than `k` that double precision does not rule out."""
        np = self._numpy
        query = self._query.astype(np.float64)
        lows, highs = [], []
        for start in range(0, len(points), MEASURED_AT_ONCE):
            part = points[start : start + MEASURED_AT_ONCE]
            block = b"".join([point.vector for point in part])
            matrix = np.frombuffer(block, "<f4").reshape(len(part), -1).astype(np.float64)
            far, wrong = self._measured(matrix, query)
            lows.append(far - wrong)
            highs.append(far + wrong)
        low, high = np.concatenate(lows), np.concatenate(highs)
        limit = np.partition(high, self._k - 1)[self._k - 1]
        return [points[n] for n in np.flatnonzero(low <= limit).tolist()]

    def _measured(self, matrix: Floats, query: Floats) -> tuple[Floats, Any]:
        np, error = self._numpy, self._operations * FLOAT64
        if self._metric is Metric.L2:
            apart = matrix - query
            far = np.einsum("ij,ij->i", apart, apart)
            return far, error * far
        dots = np.einsum("ij,j->i", matrix, query)
        lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
        if self._metric is Metric.DOT:
            return -dots, error * self._length * lengths
        return 1.0 - dots / (lengths * self._length), error


def _loaded() -> Any:
    try:
        import numpy as np
    except ImportError:
        raise ExtraMissing("vector search", "vector") from None
    return np
