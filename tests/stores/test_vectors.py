"""Vectors behind a spine: both backends, both loops, and over restarts on files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventspine import RequestContext
from eventspine.contracts.errors import (
    CollectionConflict,
    CollectionNotFound,
    InvalidId,
    InvalidJson,
    InvalidRequest,
    InvalidVector,
    NoRouteConfigured,
    TooLarge,
)
from tests.stores.conftest import CONTEXT, Opener

pytestmark = pytest.mark.anyio


async def ids(vectors: Any, *arguments: Any, **more: Any) -> list[str]:
    return [one.id for one in await vectors.search(*arguments, **more)]


async def test_the_life_of_a_collection(opener: Opener) -> None:
    async with opener() as spine:
        vectors = spine.vectors(CONTEXT)
        made = await vectors.create_collection("docs", 2, "cosine")
        assert made == await vectors.create_collection("docs", 2, "cosine")
        assert await vectors.search("docs", [1, 0]) == []
        point = await vectors.upsert("docs", "a", [1, 0], {"lang": "en"})
        assert (point.id, point.values, point.metadata) == ("a", (1, 0), {"lang": "en"})
        await vectors.upsert_many("docs", [("b", [0, 1], {"lang": "de"}), ("c", [1, 1], None)])
        assert await vectors.count("docs") == 3
        assert await ids(vectors, "docs", [1, 0.1]) == ["a", "c", "b"]
        assert await ids(vectors, "docs", [1, 0.1], k=2) == ["a", "c"]
        assert await ids(vectors, "docs", [1, 0.1], filter={"lang": "de"}) == ["b"]
        await vectors.upsert("docs", "a", [0, 2])
        (first, *_) = await vectors.search("docs", [0, 1])
        assert (first.id, first.distance, first.point.metadata) == ("a", 0.0, {})
        assert await vectors.delete("docs", "a")
        assert not await vectors.delete("docs", "a")
        assert await vectors.get("docs", "a") is None
        assert await ids(vectors, "docs", [1, 0.1]) == ["c", "b"]
        assert await vectors.delete_collection("docs")
        assert not await vectors.delete_collection("docs")
        with pytest.raises(CollectionNotFound):
            await vectors.count("docs")
        await vectors.create_collection("docs", 3, "dot")
        assert await vectors.count("docs") == 0
        assert (await vectors.upsert("docs", "a", [0, 0, 0])).version > point.version


async def test_what_cannot_be_is_refused_and_changes_nothing(opener: Opener) -> None:
    limits = {"vector_dimensions_max": 3, "vector_collection_max": 2, "vector_results_max": 4}
    async with opener(**limits, batch_events_max=3) as spine:
        vectors = spine.vectors(CONTEXT)
        with pytest.raises(CollectionNotFound):
            await vectors.upsert("c", "a", [1, 2])
        with pytest.raises(CollectionNotFound):
            await vectors.search("c", [1, 2])
        with pytest.raises(TooLarge) as large:
            await vectors.create_collection("c", 4)
        assert large.value.fields["limit"] == "vector_dimensions_max"
        for dimensions, metric in ((0, "l2"), (2, "manhattan")):
            with pytest.raises(InvalidRequest):
                await vectors.create_collection("c", dimensions, metric)
        await vectors.create_collection("c", 2)
        with pytest.raises(CollectionConflict):
            await vectors.create_collection("c", 2, "l2")
        for wrong in ([1], [1, 2, 3], [1, float("nan")], [1, float("inf")], [0, 0], [1e-16, 0]):
            with pytest.raises(InvalidVector):
                await vectors.upsert("c", "a", wrong)
            with pytest.raises(InvalidVector):
                await vectors.search("c", wrong)
        with pytest.raises(InvalidVector, match="vector 1"):
            await vectors.upsert_many("c", [("a", [1, 2], None), ("b", [1], None)])
        with pytest.raises(InvalidId):
            await vectors.upsert("c", "", [1, 2])
        with pytest.raises(InvalidJson):
            await vectors.upsert("c", "a", [1, 2], {"x": object()})
        for k, error in ((0, InvalidRequest), (5, TooLarge)):
            with pytest.raises(error):
                await vectors.search("c", [1, 2], k)
        with pytest.raises(InvalidRequest):
            await vectors.search("c", [1, 2], filter={"a": {"like": "x"}})
        with pytest.raises(TooLarge, match="points in one collection"):
            await vectors.upsert_many("c", [(id, [1, 2], None) for id in "abc"])
        with pytest.raises(TooLarge, match="points in one batch"):
            await vectors.upsert_many("c", [(id, [1, 2], None) for id in "abcd"])
        assert await vectors.count("c") == 0
        assert (await vectors.upsert("c", "a", [1, 2])).version == 2


async def test_scopes_do_not_see_each_other(opener: Opener) -> None:
    async with opener() as spine:
        mine = spine.vectors(CONTEXT)
        theirs = spine.vectors(CONTEXT.model_copy(update={"surface_id": "wall"}))
        await mine.create_collection("c", 1, "l2")
        with pytest.raises(CollectionNotFound):
            await theirs.search("c", [1])
        await theirs.create_collection("c", 1, "dot")
        await mine.upsert("c", "mine", [1])
        await theirs.upsert("c", "theirs", [1])
        assert await ids(mine, "c", [1]) == ["mine"]
        assert await ids(theirs, "c", [1]) == ["theirs"]
        away = RequestContext(tenant_id="t_away", env="dev", mode="lab")
        with pytest.raises(NoRouteConfigured):
            await spine.vectors(away).search("c", [1])


async def test_a_restart_between_any_two_steps(opener: Opener, backend: str) -> None:
    if backend == "memory":
        pytest.skip("memory does not survive, and says so")
    versions = []
    steps = [("a", [1, 2]), ("b", [3, 4]), ("a", None), ("a", [5, 6]), ("b", [0.1, 8])]
    async with opener() as spine:
        await spine.vectors(CONTEXT).create_collection("c", 2, "l2")
    for id, vector in steps:
        async with opener() as spine:
            vectors = spine.vectors(CONTEXT)
            if vector is None:
                assert await vectors.delete("c", id)
            else:
                versions.append((await vectors.upsert("c", id, vector, {"v": vector})).version)
    assert versions == [2, 3, 5, 6]
    async with opener() as spine:
        found = await spine.vectors(CONTEXT).search("c", [5, 6])
        assert [one.id for one in found] == ["a", "b"]
        assert found[1].point.metadata == {"v": [0.1, 8]}
        assert found[1].point.values == pytest.approx((0.1, 8), rel=1e-7)


async def test_sixty_four_writers_and_each_finds_what_it_wrote(opener: Opener) -> None:
    async with opener() as spine:
        vectors = spine.vectors(CONTEXT)
        await vectors.create_collection("c", 2, "l2")

        async def write(n: int) -> None:
            for turn in range(2):
                await vectors.upsert("c", f"{n}", [n, turn], {"n": n})
                (nearest,) = await vectors.search("c", [n, turn], 1)
                assert (nearest.id, nearest.distance) == (f"{n}", 0.0)
                assert await ids(vectors, "c", [0, 0], filter={"n": n}) == [f"{n}"]

        async with anyio.create_task_group() as group:
            for n in range(64):
                group.start_soon(write, n)
        assert await vectors.count("c") == 64


async def test_superseded_vectors_are_forgotten(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener() as spine:
        vectors = spine.vectors(CONTEXT)
        await vectors.create_collection("c", 2, "l2")
        for turn in range(6):
            await vectors.upsert_many("c", [(f"{n}", [n, turn], {"n": n}) for n in range(300)])
        before = await vectors.search("c", [150, 5], 300)
    if backend == "memory":
        return
    lines = (tmp_path / "vector_store/t_demo/dev/_/c.jsonl").read_text().splitlines()
    assert len(lines) < 1000
    assert json.loads(lines[0])["dimensions"] == 2
    async with opener() as spine:
        after = await spine.vectors(CONTEXT).search("c", [150, 5], 300)
        assert [(one.id, one.distance, one.point.version) for one in after] == [
            (one.id, one.distance, one.point.version) for one in before
        ]
        assert (await spine.vectors(CONTEXT).upsert("c", "x", [1, 1])).version == 1802
