"""Which way a search goes: exactly over all that matches, or by way of an approximate index.

Rules: filter first. What matches is looked at exactly if it is at most `exact_max` points, if the
caller wants it so, and while there is no index. Otherwise the index names candidates, more than are
asked for (the filter and deletions take some away), and what the index does not have yet joins
them; the candidates are measured as in an exact search. So distances are exact and ties go by id
either way; what may be missing is a near point that the index did not name. Where too few
candidates match, the search is exact after all: there are as many results as exactly. For a thread.
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
from eventspine.services.vector_search import nearest

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
    matching, metric = search.matching, points.info.metric
    if index is not None and search.exact_max is not None and len(points) > search.exact_max:
        chosen: Sequence[VectorPoint] = points.all
        if matching is not None:
            chosen = matching(chosen)
        if len(chosen) > search.exact_max:
            candidates = _candidates(points, index, search, len(chosen) / len(points))
            if candidates is not None:
                found = nearest(candidates, metric, search.query, search.k)
                return SearchResults(found, ANN_ENGINE, exact=False)
        chosen = sorted(chosen, key=lambda point: point.id)
    else:
        chosen = points.by_id if matching is None else matching(points.by_id)
    found = nearest(chosen, metric, search.query, search.k)
    return SearchResults(found, EXACT_ENGINE, exact=True)


def _candidates(
    points: Points, index: AnnIndex, search: Search, share: float
) -> list[VectorPoint] | None:
    """Points worth measuring, in order of id; None: the index does not name enough of them."""
    matching, live = search.matching, points.count_up_to(index.at)
    fresh: Sequence[VectorPoint] = points.behind(index.at)
    wanted = OVERFETCH * search.k + SPARE
    fetched = int(wanted / share * len(index) / max(live, 1)) + 1
    while fetched <= max(FETCH_ALWAYS, FETCH_SHARE_MAX * len(index)):
        found: Sequence[VectorPoint] = points.of(index.nearest(search.query, fetched))
        if matching is not None:
            found = matching(found)
        if len(found) >= OVERFETCH * search.k:
            if matching is not None:
                fresh = matching(fresh)
            return sorted([*found, *fresh], key=lambda point: point.id)
        fetched *= MORE
    return None
