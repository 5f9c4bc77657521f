"""The approximate index: built, caught up, damaged, thrown away; both backends, both loops."""

from __future__ import annotations

import random
from pathlib import Path

import anyio
import pytest

from eventspine import RequestContext, Spine
from eventspine.contracts.errors import CollectionNotFound
from eventspine.contracts.vector_index import IndexState
from eventspine.contracts.vectors import CollectionInfo, Metric, VectorPoint
from eventspine.services import vector_ann, vector_indexes
from eventspine.services.vector_ann import AnnIndex
from eventspine.services.vectors import VectorStoreService
from tests.stores.conftest import CONTEXT, Opener
from tests.stores.latent import DIMENSIONS, SEED, Latent

pytestmark = pytest.mark.anyio
FILE = "vector_store/t_demo/dev/_/indexes/c"
EXACT_MAX = 200


async def filled(
    spine: Spine,
    count: int,
    metric: str = "cosine",
    latent: Latent | None = None,
    context: RequestContext = CONTEXT,
) -> VectorStoreService:
    vectors, latent = spine.vectors(context), latent or Latent()
    await vectors.create_collection("c", DIMENSIONS, metric)
    points = [(f"p{n}", latent.vector(), {"even": n % 2 == 0, "n": n}) for n in range(count)]
    await vectors.upsert_many("c", points)
    return vectors


async def built(spine: Spine, vectors: VectorStoreService, dimensions: int = DIMENSIONS) -> None:
    """Ask once, and wait until nothing is to be built."""
    await vectors.search("c", [1.0] * dimensions, 1)
    with anyio.fail_after(50):
        await spine.vector_indexes.settled.wait()


async def test_an_answer_says_which_way_it_went(opener: Opener) -> None:
    latent = Latent()
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        vectors = await filled(spine, 300, "l2", latent)
        await built(spine, vectors)
        query = latent.vector()
        exact = await vectors.search("c", query, 10, exact=True)
        found = await vectors.search("c", query, 10)
        assert (exact.engine, exact.exact) == ("numpy", True)
        assert (found.engine, found.exact) == ("usearch", False)
        assert list(found) == list(exact), f"seed {SEED}"


async def test_an_index_is_built_by_itself_and_outlives_a_restart(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        vectors = await filled(spine, EXACT_MAX)
        assert (await vectors.search("c", [1.0] * DIMENSIONS)).exact
        assert (await vectors.index("c")).state is IndexState.NONE
        await vectors.upsert("c", "one more", [1.0] * DIMENSIONS)
        with anyio.fail_after(50):
            await spine.vector_indexes.settled.wait()
        status = await vectors.index("c")
        assert (status.state, status.points, status.behind) == (IndexState.READY, 201, 0)
        assert not (await vectors.search("c", [1.0] * DIMENSIONS)).exact
    if backend == "memory":
        return
    before = (tmp_path / FILE).read_bytes()
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        vectors = spine.vectors(CONTEXT)
        first = await vectors.search("c", [1.0] * DIMENSIONS, 3)
        assert first.exact, "until it has been read"
        await built(spine, vectors)
        second = await vectors.search("c", [1.0] * DIMENSIONS, 3)
        assert (second.engine, list(second)) == ("usearch", list(first))
        assert (await vectors.index("c")).detail == ""
    assert (tmp_path / FILE).read_bytes() == before, "it was read, and not built anew"


async def test_what_is_deleted_or_replaced_never_comes_back(opener: Opener) -> None:
    chance = random.Random(SEED)
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        latent = Latent()
        vectors = await filled(spine, 400, "l2", latent)
        await built(spine, vectors)
        there = {f"p{n}" for n in range(400)}
        for turn in range(10):
            gone = chance.sample(sorted(there), 5)
            moved = chance.sample(sorted(there - set(gone)), 5)
            targets = [(await vectors.get("c", id)) for id in gone + moved]
            there -= set(gone)
            for id in gone:
                await vectors.delete("c", id)
            await vectors.upsert_many("c", [(id, latent.vector(), {"turn": turn}) for id in moved])
            if turn == 5:
                await built(spine, vectors)
            for old in targets:
                assert old is not None
                found = await vectors.search("c", old.values, 5)
                assert found.engine == "usearch"
                assert {one.id for one in found} <= there, f"turn {turn}, seed {SEED}"
                for one in found:
                    now = await vectors.get("c", one.id)
                    assert now is not None
                    assert (one.point.version, one.point.vector) == (now.version, now.vector)
            for id in moved:
                now = await vectors.get("c", id)
                assert now is not None
                (nearest,) = await vectors.search("c", now.values, 1)
                assert (nearest.id, nearest.distance) == (id, 0.0), "what is new is found"


async def test_the_index_catches_up_and_is_built_anew_when_it_has_too_many_holes(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_indexes, "BEHIND_MAX", 20)
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        latent = Latent()
        vectors = await filled(spine, 500, latent=latent)
        await built(spine, vectors)
        await vectors.upsert_many("c", [(f"new{n}", latent.vector(), None) for n in range(20)])
        await built(spine, vectors)
        assert (await vectors.index("c")).behind == 20, "so few are not worth it"
        await vectors.upsert("c", "new20", latent.vector())
        await built(spine, vectors)
        side = await spine.vector_indexes.of(CONTEXT, "c")
        assert side.index is not None
        assert (len(side.index), side.index.removed) == (521, 0)
        for n in range(60):
            await vectors.delete("c", f"p{n}")
        await built(spine, vectors)
        assert (len(side.index), side.index.removed) == (461, 60)
        for n in range(60, 220):
            await vectors.delete("c", f"p{n}")
        await built(spine, vectors)
        assert (len(side.index), side.index.removed) == (301, 0), "built anew"


async def test_filters_go_first_and_never_cost_a_result(opener: Opener) -> None:
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        latent = Latent()
        vectors = await filled(spine, 600, latent=latent)
        await built(spine, vectors)
        query = latent.vector()
        few = await vectors.search("c", query, 10, {"n": {"lt": 200}})
        assert (few.engine, few.exact, len(few)) == ("numpy", True, 10)
        half = await vectors.search("c", query, 10, {"even": True})
        assert (half.engine, len(half)) == ("usearch", 10)
        assert all(one.point.metadata["even"] for one in half)
        many = await vectors.search("c", query, 300, {"even": True})
        assert (many.exact, len(many)) == (True, 300), "asking for so many looks at all"
        none = await vectors.search("c", query, 10, {"n": -1})
        assert (none.exact, len(none)) == (True, 0)


@pytest.mark.parametrize("damage", ["bit", "format"])
async def test_a_damaged_side_file_is_built_anew(
    opener: Opener, backend: str, tmp_path: Path, damage: str
) -> None:
    if backend == "memory":
        pytest.skip("memory has no files")
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        await built(spine, await filled(spine, 300))
    file = tmp_path / FILE
    data = file.read_bytes()
    damaged = {
        "bit": data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        "format": data.replace(b"vector index 1", b"vector index 9", 1),
    }
    file.write_bytes(damaged[damage])
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        vectors = spine.vectors(CONTEXT)
        expected = await vectors.search("c", [1.0] * DIMENSIONS, 10, exact=True)
        assert list(await vectors.search("c", [1.0] * DIMENSIONS, 10)) == list(expected)
        await built(spine, vectors)
        found = await vectors.search("c", [1.0] * DIMENSIONS, 10)
        assert found.engine == "usearch"
        assert len({one.id for one in found} & {one.id for one in expected}) >= 9
        assert "built anew" in (await vectors.index("c")).detail
    assert vector_ann.loaded(expected_info(), file.read_bytes()).at == 301


def expected_info() -> CollectionInfo:
    return CollectionInfo("c", DIMENSIONS, Metric.COSINE, 300, "")


async def test_a_side_file_of_another_history_does_not_count(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    """As where the journal was put back from a backup, and the side file was not."""
    if backend == "memory":
        pytest.skip("memory has no files")
    contexts = [CONTEXT.model_copy(update={"surface_id": one}) for one in ("one", "two")]
    files = [tmp_path / f"vector_store/t_demo/dev/{one}/indexes/c" for one in ("one", "two")]
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        for seed, context in enumerate(contexts, SEED):
            count = 300 if seed == SEED else 350
            vectors = await filled(spine, count, latent=Latent(seed), context=context)
            await built(spine, vectors)
    one, two = (file.read_bytes() for file in files)
    files[0].write_bytes(two)  # it knows of changes that are still to come here
    files[1].write_bytes(one)  # the same changes had other vectors
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        for context in contexts:
            vectors = spine.vectors(context)
            await built(spine, vectors)
            assert "not of this collection" in (await vectors.index("c")).detail
            found = await vectors.search("c", [1.0] * DIMENSIONS, 10)
            exact = await vectors.search("c", [1.0] * DIMENSIONS, 10, exact=True)
            assert (found.engine, list(found)) == ("usearch", list(exact))


async def test_a_side_file_of_the_past_catches_up(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    if backend == "memory":
        pytest.skip("memory has no files")
    file = tmp_path / FILE
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        vectors = await filled(spine, 300)
        await built(spine, vectors)
        past = file.read_bytes()
        for n in range(40):
            await vectors.delete("c", f"p{n}")
        await vectors.rebuild_index("c")
        await built(spine, vectors)
        assert file.read_bytes() != past
    file.write_bytes(past)
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        vectors = spine.vectors(CONTEXT)
        await built(spine, vectors)
        status = await vectors.index("c")
        assert (status.state, status.points, status.behind) == (IndexState.READY, 260, 0)
        gone = [f"p{n}" for n in range(40)]
        found = await vectors.search("c", [1.0] * DIMENSIONS, 25)
        assert not {one.id for one in found} & set(gone)


async def test_a_collection_that_goes_takes_its_index_with_it(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        vectors = await filled(spine, 300)
        await built(spine, vectors)
        assert (tmp_path / FILE).exists() == (backend == "filesystem")
        await vectors.delete_collection("c")
        assert not (tmp_path / FILE).exists()
        with pytest.raises(CollectionNotFound):
            await vectors.index("c")
        await vectors.create_collection("c", 2, "l2")
        await vectors.upsert_many("c", [(f"q{n}", [n, n], None) for n in range(300)])
        await built(spine, vectors, 2)
        found = await vectors.search("c", [5, 5.1], 2)
        assert (found.engine, [one.id for one in found]) == ("usearch", ["q5", "q6"])
        for n in range(150):
            await vectors.delete("c", f"q{n}")
        assert (await vectors.search("c", [200, 200], 2)).exact, "it is small again"


async def test_without_the_library_searches_are_exact_and_say_so(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_indexes, "is_installed", lambda: False)
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        vectors = await filled(spine, 300)
        await built(spine, vectors)
        found = await vectors.search("c", [1.0] * DIMENSIONS, 3)
        assert (found.engine, found.exact, len(found)) == ("numpy", True, 3)
        status = await vectors.index("c")
        assert status.state is IndexState.UNAVAILABLE
        assert 'pip install "eventspine[vector-ann]"' in status.detail


async def test_an_index_that_nobody_uses_leaves_memory_and_comes_back(
    opener: Opener, backend: str
) -> None:
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        vectors, indexes = await filled(spine, 300), spine.vector_indexes
        await built(spine, vectors)
        await vectors.upsert("c", "late", [1.0] * DIMENSIONS)
        side = await indexes.of(CONTEXT, "c")
        await indexes.rest(side.used_at - 1)
        assert await indexes.of(CONTEXT, "c") is side
        await indexes.rest(side.used_at)
        again = await indexes.of(CONTEXT, "c")
        assert (again is side, again.index) == (False, None)
        assert (await vectors.search("c", [1.0] * DIMENSIONS, 1)).exact
        await built(spine, vectors)
        (found,) = await vectors.search("c", [1.0] * DIMENSIONS, 1)
        assert found.id == "late"
        assert again.saved_at == 301, "it was read, not built anew"


async def test_searches_and_writes_go_on_while_an_index_is_built(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_indexes, "BATCH_BYTES", 4 * DIMENSIONS * 10)
    monkeypatch.setattr(vector_indexes, "BEHIND_MAX", 50)
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        latent = Latent()
        vectors = await filled(spine, 400, "l2", latent)

        async def work(n: int) -> None:
            for turn in range(15):
                vector = latent.vector()
                point = await vectors.upsert("c", f"w{n}-{turn}", vector)
                found = await vectors.search("c", point.values, 3)
                assert (found[0].id, found[0].distance) == (point.id, 0.0), f"seed {SEED}"
                await vectors.delete("c", point.id)
                found = await vectors.search("c", point.values, 3)
                assert point.id not in {one.id for one in found}

        async with anyio.create_task_group() as tasks:
            for n in range(8):
                tasks.start_soon(work, n)
        await built(spine, vectors)
        assert (await vectors.search("c", latent.vector())).engine == "usearch"


async def test_an_engine_that_fails_costs_the_index_and_nothing_else(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(index: AnnIndex, points: list[VectorPoint]) -> None:
        raise MemoryError("no room for a graph")

    monkeypatch.setattr(AnnIndex, "add", failing)
    async with opener(vector_exact_max=EXACT_MAX) as spine:
        vectors = await filled(spine, 300)
        await built(spine, vectors)
        assert (await vectors.search("c", [1.0] * DIMENSIONS, 3)).exact
        status = await vectors.index("c")
        assert (status.state, status.points) == (IndexState.UNAVAILABLE, 0)
        assert "no room for a graph" in status.detail
        monkeypatch.undo()
        await vectors.rebuild_index("c")
        await built(spine, vectors)
        assert (await vectors.index("c")).state is IndexState.READY
        (child,) = [one for one in spine.tree().children if one.name == "vector indexes"]
        assert child.restarts == 0
