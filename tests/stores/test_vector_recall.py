"""The approximate way beside the exact one: recall, distances, ties, deletions, growing."""

from __future__ import annotations

import pytest

from eventspine.actors.states.vector_points import Points
from eventspine.actors.states.vector_rows import rows_of
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.vector_filter import compiled
from eventspine.contracts.vectors import CollectionInfo, Metric, VectorPoint, packed
from eventspine.services.vector_ann import AnnIndex, loaded
from eventspine.services.vector_plan import Search, find
from tests.stores.latent import DIMENSIONS, SEED, Latent

COUNT = 2_000
METRICS = pytest.mark.parametrize("metric", list(Metric))


def points_of(metric: Metric, *found: VectorPoint) -> Points:
    return Points(CollectionInfo("c", DIMENSIONS, metric, len(found), ""), rows_of(found))


def seeded(count: int, latent: Latent, first: int = 1) -> list[VectorPoint]:
    return [
        VectorPoint(f"p{n:05d}", packed(latent.vector()), b'{"n":%d}' % n, n, "")
        for n in range(first, first + count)
    ]


@METRICS
def test_recall_has_a_bound_and_distances_are_those_of_an_exact_search(metric: Metric) -> None:
    latent, right, asked = Latent(), 0, 0
    points = points_of(metric, *seeded(COUNT, latent))
    index = AnnIndex(points.info)
    index.add(points.all)
    for stated in (None, {"n": {"gt": COUNT // 2}}):
        for _ in range(30):
            query = packed(latent.vector())
            way = Search(query, 10, compiled(stated), 100)
            found = find(points, index, way)
            exact = find(points, index, way._replace(exact_max=None))
            assert (found.exact, exact.exact, len(found)) == (False, True, 10)
            both = {one.id for one in found} & {one.id for one in exact}
            right, asked = right + len(both), asked + 10
            far = {one.id: one.distance for one in exact}
            assert all(one.distance == far.get(one.id, one.distance) for one in found)
            assert found == sorted(found, key=lambda one: (one.distance, one.id))
    assert right >= 0.98 * asked, f"recall@10 is {right / asked}, seed {SEED}"


def test_ties_go_by_id_and_what_the_index_lacks_is_found() -> None:
    latent = Latent()
    same = [
        VectorPoint(f"p{n}", packed([1.0] * DIMENSIONS), b"{}", n, "") for n in range(90, 80, -1)
    ]
    others = seeded(500, latent, first=100)
    points = points_of(Metric.L2, *same, *others)
    index = AnnIndex(points.info)
    index.add(points.up_to(400))
    found = find(points, index, Search(packed([1.0] * DIMENSIONS), 5, None, 200))
    assert [one.id for one in found] == ["p81", "p82", "p83", "p84", "p85"]
    for late in points.behind(400):
        (nearest,) = find(points, index, Search(late.vector, 1, None, 200))
        assert (nearest.id, nearest.distance) == (late.id, 0.0)
    assert not found.exact
    assert find(points, index, Search(late.vector, 1, None, 198)).exact, "so many are a load"


def test_a_copy_grows_and_the_one_that_is_searched_stays() -> None:
    latent = Latent()
    before = seeded(500, latent)
    index = AnnIndex(points_of(Metric.L2, *before).info)
    index.add(before)
    now = points_of(Metric.L2, *before[100:], *seeded(50, latent, first=501))
    grown = index.copy()
    grown.drop_all_but(now)
    grown.add(now.behind(grown.at))
    assert (len(index), index.at, index.removed) == (500, 500, 0)
    assert (len(grown), grown.at, grown.removed) == (450, 550, 100)
    assert index.fits(now)
    assert grown.fits(now)
    assert not grown.fits(points_of(Metric.L2, *before[300:])), "so many holes are too many"
    assert not grown.fits(points_of(Metric.DOT, *now.all))
    assert grown.agrees(now)
    assert not index.agrees(points_of(Metric.L2, VectorPoint("p", now.all[0].vector, b"{}", 7, "")))
    for version in grown.nearest(before[0].vector, 450):
        assert version > 100, "what was taken out is no candidate"


def test_what_is_read_back_is_what_was_written_or_refused() -> None:
    latent = Latent()
    points = points_of(Metric.COSINE, *seeded(200, latent))
    index = AnnIndex(points.info)
    index.add(points.all)
    line, data = index.dumped()
    whole = line + bytes(data)
    again = loaded(points.info, whole)
    query = packed(latent.vector())
    assert again.nearest(query, 50) == index.nearest(query, 50)
    assert (again.at, len(again), again.fits(points)) == (200, 200, True)
    for cut in (*range(0, len(whole), 997), len(whole) - 1):
        with pytest.raises(StoreCorrupt):
            loaded(points.info, whole[:cut])
    for at in range(len(line), len(whole), 499):
        with pytest.raises(StoreCorrupt):
            loaded(points.info, whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
