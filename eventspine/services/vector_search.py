"""The nearest of some points, exactly: sqlite-vec looks at all of them, we measure the closest.

Job: what a search does on its thread, over points that no longer change. sqlite-vec's distances are
of single precision; with what that can be wrong by they become bounds, and every point whose bound
is below the last place in the answer is measured in double precision. The answer is exact, ties go
by id, and another engine in its place would give the same. Which points are looked at, and when an
approximate index chooses them, is vector_plan.py's.
Refused: an index inside SQLite (vec0). It is four times faster, and is a second copy of every
vector that has to be kept in step with the journal. See docs/decisions/0013-vectors.md.
Source: KIND-08.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from eventspine.contracts.errors import ExtraMissing
from eventspine.contracts.vectors import Metric, Neighbour, VectorPoint, distance, unpacked

if TYPE_CHECKING:
    import apsw

CHUNK_BYTES = 4 * 1024 * 1024  # of vectors side by side in one query
SPARE = 16  # candidates beyond `k` that are measured in any case
MORE = 4  # times as many when that did not suffice
_FLOAT32 = 2.0**-23  # twice the rounding of one operation
_TINY = 1e-15  # distances lost to underflow are below it

# ?1 vectors side by side, ?2 bytes of one, ?3 how many, ?4 the query, ?5 rows, ?6 relative error,
# ?7 the origin. Each expression is a lower bound of what `_bounded` makes of the true distance.
_ONE = "substr(?1, n * ?2 + 1, ?2)"
_BOUND = {
    Metric.COSINE: f"vec_distance_cosine({_ONE}, ?4) - ?6",
    Metric.L2: f"vec_distance_L2({_ONE}, ?4) * (1 - ?6)",
    Metric.DOT: (
        f"pow(vec_distance_L2({_ONE}, ?4), 2) * (1 - ?6)"
        f" - pow(vec_distance_L2({_ONE}, ?7), 2) * (1 + ?6)"
    ),
}
_QUERY = """
    WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?3)
    SELECT n, {bound} AS bound FROM numbers ORDER BY bound, n LIMIT ?5
"""


class _Candidate(NamedTuple):
    bound: float
    place: int


def nearest(chosen: Sequence[VectorPoint], metric: Metric, query: bytes, k: int) -> list[Neighbour]:
    """The `k` nearest of points in order of id: nearest first, then by id. Blocks: for a thread.

    Raises:
        ExtraMissing: the extra `vector` is not installed.
    """
    connection = open_engine()
    try:
        return _exact(_Look(connection, metric, query), chosen, k)
    finally:
        connection.close()


def _exact(look: _Look, chosen: Sequence[VectorPoint], k: int) -> list[Neighbour]:
    wanted = k + SPARE
    while True:
        found = look.candidates(chosen, wanted)
        ranked = sorted((look.measured(chosen[one.place]), one.place) for one in found)[:k]
        complete = len(found) == len(chosen)
        if complete or found[-1].bound > look.bounded(ranked[-1][0]):
            return [Neighbour(chosen[place], far) for far, place in ranked]
        wanted *= MORE


class _Look:
    """One query, one metric: bounds by sqlite-vec, and the true distances of what is close."""

    def __init__(self, connection: apsw.Connection, metric: Metric, query: bytes) -> None:
        self._connection = connection
        self._metric = metric
        self._query = query
        self._values = unpacked(query)
        self._error = (4 * len(self._values) + 64) * _FLOAT32
        self._measured: dict[bytes, float] = {}

    def candidates(self, chosen: Sequence[VectorPoint], wanted: int) -> list[_Candidate]:
        """The `wanted` points of the lowest bounds, lowest first; fewer if there are no more."""
        sql = _QUERY.format(bound=_BOUND[self._metric])
        size = len(self._query)
        common = (self._query, wanted, self._error)
        origin = (bytes(size),) if self._metric is Metric.DOT else ()
        found: list[_Candidate] = []
        for start, part in _parts(chosen, max(1, CHUNK_BYTES // size)):
            block = b"".join([point.vector for point in part])
            rows = self._connection.execute(sql, (block, size, len(part), *common, *origin))
            found += [_Candidate(bound, start + n) for n, bound in rows]
        return sorted(found)[:wanted]

    def measured(self, point: VectorPoint) -> float:
        far = self._measured.get(point.vector)
        if far is None:
            far = distance(self._metric, self._values, unpacked(point.vector))
            self._measured[point.vector] = far
        return far

    def bounded(self, far: float) -> float:
        """A distance on the scale of the bounds, with what underflow may have lost added."""
        if self._metric is Metric.DOT:  # |q - v|² - |v|² = |q|² + 2 · (-q·v)
            square = -distance(Metric.DOT, self._values, self._values)
            return (square + 2 * far) + (square + abs(far)) * 1e-12 + _TINY * _TINY
        return far + _TINY


def _parts(chosen: Sequence[VectorPoint], size: int) -> Iterator[tuple[int, Sequence[VectorPoint]]]:
    for start in range(0, len(chosen), size):
        yield start, chosen[start : start + size]


def open_engine() -> apsw.Connection:
    """A connection to no file, with sqlite-vec in it. Raises ExtraMissing."""
    try:
        import apsw
        import sqlite_vec  # type: ignore[import-untyped]
    except ImportError:
        raise ExtraMissing("vector search", "vector") from None
    connection = apsw.Connection(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.enable_load_extension(False)
    return connection
