"""Vectors side by side: any program beside a dictionary, snapshots that stay, memory that goes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from eventspine.actors.states import vector_rows
from eventspine.actors.states.vector_points import Points
from eventspine.actors.states.vector_rows import Part, Rows, rows_of
from eventspine.contracts.vectors import CollectionInfo, Metric, VectorPoint, packed
from eventspine.services.vector_plan import Search, find

SEED = 20261130
Model = dict[str, tuple[tuple[float, ...], int]]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_rows, "BLOCK_BYTES", 8 * 24)
    monkeypatch.setattr(vector_rows, "ROWS_MIN", 4)


def held(parts: Sequence[Part]) -> Model:
    return {one.id: (one.values, one.version) for part in parts for one in part.points}


def points_of(parts: Sequence[Part]) -> Points:
    return Points(CollectionInfo("c", 2, Metric.L2, 0, ""), parts)


def test_any_program_beside_a_dictionary_and_what_was_shown_stays() -> None:
    for seed in range(SEED, SEED + 40):
        chance, rows, model = random.Random(seed), Rows(), Model()
        shown: list[tuple[tuple[Part, ...], Model]] = []
        for version in range(1, 400):
            id = f"p{chance.randrange(60)}"
            if chance.random() < 0.3:
                rows.remove(id)
                model.pop(id, None)
            else:
                values = (float(version), chance.random() // 0.1)
                rows.put(id, packed(values), b"{}", version, "")
                model[id] = (values, version)
            if chance.random() < 0.1:
                shown.append((rows.shown(), dict(model)))
            assert {id: (one.values, one.version) for id, one in rows.by_id.items()} == model
        for parts, was in shown:
            assert held(parts) == was, f"seed {seed}"
            assert sum(part.live for part in parts) == len(was)
            versions = [one.version for one in points_of(parts).all]
            assert versions == sorted(version for _, version in was.values())
            found = points_of(parts).of(range(400))
            assert [one.version for one in found] == versions, f"seed {seed}"
            rows_in_order = [one.version for part in parts for one in part.points]
            assert all(one < other for one, other in pairwise(rows_in_order))


def test_what_is_replaced_again_and_again_takes_no_more_room() -> None:
    rows, count = Rows(), 100
    for version in range(1, 20_001):
        rows.put(f"p{version % count}", packed((version, 0)), b"{}", version, "")
    parts = rows.shown()
    assert sum(len(part.block.data) for part in parts) <= 8 * (3 * count + 24)
    for id in list(rows.by_id):
        rows.remove(id)
    assert sum(part.live for part in rows.shown()) == 0
    assert len(rows.shown()) <= 1


def test_rows_are_written_while_an_engine_looks_at_their_block() -> None:
    rows = Rows()
    rows.put("a", packed((1, 1)), b"{}", 1, "")
    (part,) = rows.shown()
    seen = np.frombuffer(part.block.data, "<f4", 2)
    for n in range(2, 30):
        rows.put(f"p{n}", packed((n, n)), b"{}", n, "")
    rows.remove("a")
    assert seen.tolist() == [1, 1]
    assert [one.id for one in part.points] == ["a"]


def test_vectors_of_another_length_get_blocks_of_their_own() -> None:
    rows = Rows()
    for n, values in enumerate([(1.0,), (1.0, 2.0), (3.0,)], 1):
        rows.put(f"p{n}", packed(values), b"{}", n, "")
    assert [one.values for one in rows.by_id.values()] == [(1.0,), (1.0, 2.0), (3.0,)]


def test_versions_out_of_order_are_found_all_the_same() -> None:
    """As where a journal was written anew while it changed."""
    made = [VectorPoint(f"p{n}", packed((n, n)), b"{}", n, "") for n in (3, 1, 9, 2, 30, 7, 8)]
    points = points_of(rows_of(made))
    assert [one.version for one in points.all] == [1, 2, 3, 7, 8, 9, 30]
    assert [one.version for one in points.up_to(7)] == [1, 2, 3, 7]
    assert [one.version for one in points.behind(7)] == [8, 9, 30]
    assert (points.count_up_to(7), points.count_up_to(0), points.count_up_to(99)) == (4, 0, 7)
    assert [one.version for one in points.of([8, 4, 30, 1])] == [8, 30, 1]


@pytest.mark.parametrize("metric", list(Metric))
def test_a_search_sees_what_was_shown_and_no_more(metric: Metric) -> None:
    rows = Rows()
    for n in range(1, 61):
        rows.put(f"p{n:02d}", packed((n, 1)), b"{}", n, "")
    for n in range(1, 61, 3):
        rows.remove(f"p{n:02d}")
    info = CollectionInfo("c", 2, metric, 40, "")
    before, search = Points(info, rows.shown()), Search(packed((30, 1)), 5, None, None)
    found = [(one.id, one.distance) for one in find(before, None, search)]
    assert not {id for id, _ in found} & {f"p{n:02d}" for n in range(1, 61, 3)}
    for n in range(2, 61, 3):
        rows.remove(f"p{n:02d}")
        rows.put(f"q{n:02d}", packed((30, 1)), b"{}", 100 + n, "")
    assert [(one.id, one.distance) for one in find(before, None, search)] == found
    now = find(Points(info, rows.shown()), None, Search(packed((30, 1)), 40, None, None))
    assert len(now) == 40
    assert {one.id for one in now} == set(rows.by_id)
