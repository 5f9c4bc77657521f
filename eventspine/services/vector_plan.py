"""Which way a search goes: exactly over all that matches, or by way of an approximate index.

Rules: filter first. What matches is looked at exactly if it is at most `exact_max` points, if the
caller wants it so, and while there is no index. Otherwise the index names candidates, more than are
asked for (the filter and deletions take some away), and what the index does not have yet joins
them, up to `exact_max` points; the candidates are measured as in an exact search. So distances are
exact and ties go by id either way; what may be missing is a near point that the index did not name.
Where too few candidates match, or the index lacks more, the search is exact after all: there are as
many results as exactly. For a thread.
Source: KIND-08.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from eventspine.actors.states.vector_points import Points
from eventspine.contracts.vector_filter import Filter
from eventspine.contracts.vector_index import ANN_ENGINE, EXACT_ENGINE, SearchResults
from eventspine.contracts.vectors import VectorPoint
from eventspine.services.vector_ann import AnnIndex
from eventspine.services.vector_search import Picked, nearest, nearest_of

OVERFETCH = 4  # candidates for each result
SPARE = 32  # and as many more
MORE = 4  # times as many when too few of them match
FETCH_SHARE_MAX = 0.1  # of the index: asking for more takes longer than looking at all
FETCH_ALWAYS = 1_000  # so many may be asked for in any case


class Search(NamedTuple):
    """What is asked. `exact_max`: so many points are looked at in any case; None: all are."""

    query: bytes
    k: int
    matching: Filter | None
    exact_max: int | None


def find(points: Points, index: AnnIndex | None, search: Search) -> SearchResults:
    """Raises ExtraMissing: the extra `vector` is not installed."""
    metric, exact_max = points.info.metric, search.exact_max
    rows, count = _matching(points, search.matching)
    if index is not None and exact_max is not None and count > exact_max:
        candidates = _candidates(points, index, search, count / len(points))
        if candidates is not None:
            found = nearest_of(candidates, metric, search.query, search.k)
            return SearchResults(found, ANN_ENGINE, exact=False)
    return SearchResults(nearest(rows, metric, search.query, search.k), EXACT_ENGINE, exact=True)


def _matching(points: Points, matching: Filter | None) -> tuple[list[Picked], int]:
    """The rows of the points that match, and how many those are."""
    rows, count = [], 0
    for part in points.parts:
        chosen: list[int] | None = None
        if matching is not None:
            chosen = [point.row for point in matching(part.points)]
        count += part.live if chosen is None else len(chosen)
        rows.append(Picked(part.block, part.length, part.dead, chosen))
    return rows, count


def _candidates(
    points: Points, index: AnnIndex, search: Search, share: float
) -> list[VectorPoint] | None:
    """Points worth measuring; None: the index does not name enough of them."""
    matching, live = search.matching, points.count_up_to(index.at)
    if search.exact_max is not None and len(points) - live > search.exact_max:
        return None  # a whole load that the index lacks: rows side by side are faster
    wanted = OVERFETCH * search.k + SPARE
    fetched = int(wanted / share * len(index) / max(live, 1)) + 1
    while fetched <= max(FETCH_ALWAYS, FETCH_SHARE_MAX * len(index)):
        found: Sequence[VectorPoint] = points.of(index.nearest(search.query, fetched))
        if matching is not None:
            found = matching(found)
        if len(found) >= OVERFETCH * search.k:
            fresh: Sequence[VectorPoint] = points.behind(index.at)
            return [*found, *(fresh if matching is None else matching(fresh))]
        fetched *= MORE
    return None
