"""The ten nearest of many vectors, one question at a time: exactly, and by way of an index.

Beside faiss (flat, and its HNSW with the parameters of ours) and sqlite-vec. Everybody has one
thread for a question. Recall is the share of the ten nearest that an answer has. A collection of
ours above `vector_exact_max` has an index; both ways are measured, over the same collection. What
is filled in says how far it is on standard error, the index too.
"""

from __future__ import annotations

import time

import anyio

from bench.kinds.rows import GROWN, columns, embedded, needs, shared_folder, sizes
from bench.kinds.spines import CONTEXT, Growth, on_spine
from bench.kinds.timing import Args, closed
from bench.kinds.vector_data import (
    JUDGED,
    QUESTIONS,
    K,
    blocks,
    dimensions,
    questions,
    recall,
    truth,
)
from bench.stage import Column, Row, Stage, progress
from eventspine import Spine
from eventspine.contracts.errors import DeadlineExceeded
from eventspine.contracts.limits import Limits
from eventspine.contracts.vector_index import IndexState
from eventspine.services.vectors import VectorStoreService

TITLE = "the 10 nearest of {size:,} vectors of {dimensions} dimensions"
COLUMNS = (*columns("search")[:-1], Column("recall", "recall@10", ",.3f"), GROWN)
SIZES = (10_000, 100_000, 1_000_000)
OURS, OURS_INDEX = "eventspine, embedded, exactly", "eventspine, embedded, by its index"
FLAT, SQLITE_VEC = "faiss, IndexFlatIP", "sqlite-vec, vec0"
HNSW = "faiss, IndexHNSWFlat"
TOLD_S = 20.0
LIMITS = Limits()


def contenders(stage: Stage, size: int) -> list[Row]:
    numpy, faiss = needs("numpy"), needs("faiss")
    place = shared_folder(stage, "vectors", size)

    def row(name: str, load: str, fill: str, missing: str | None, client: str = "") -> Row:
        return embedded(
            stage,
            name,
            load,
            size,
            fill=fill,
            folder=place,
            client=client or "in the process",
            missing=numpy or missing,
        )

    loop, peers = "one task, uvloop", "vector_peers"
    exactly = row(OURS, "vectors.ours", "vectors.ours_fill", None, loop)
    flat = row(FLAT, f"{peers}.flat", f"{peers}.flat_fill", faiss)
    vec = row(
        SQLITE_VEC,
        f"{peers}.sqlite_vec",
        f"{peers}.sqlite_vec_fill",
        needs("apsw") or needs("sqlite_vec"),
    )
    if size <= LIMITS.vector_exact_max:
        return [exactly, flat, vec]
    index = row(OURS_INDEX, "vectors.ours_index", "vectors.ours_index_fill", needs("usearch"), loop)
    hnsw = row(HNSW, f"{peers}.hnsw", f"{peers}.hnsw_fill", faiss)
    return [exactly, flat, vec, index, hnsw]


def vector_sizes(stage: Stage) -> tuple[int, ...]:
    return sizes(stage, SIZES)


def _limits(size: int) -> Limits:
    return Limits(vector_collection_max=max(size, LIMITS.vector_collection_max))


def ours_fill(args: Args) -> None:
    async def fill(spine: Spine) -> None:
        vectors, number, width = spine.vectors(CONTEXT), 0, dimensions(args.size)
        await vectors.create_collection("v", width)
        for block in blocks(args.size, width=width, told=OURS):
            rows = [(f"p{number + at}", row, None) for at, row in enumerate(block.tolist())]
            await vectors.upsert_many("v", rows)
            number += len(rows)

    limits = Limits(vector_collection_max=max(args.size, 1), vector_exact_max=args.size)
    on_spine(args.folder, fill, limits)  # no index yet


def ours_index_fill(args: Args) -> None:
    async def fill(spine: Spine) -> None:
        vectors = spine.vectors(CONTEXT)
        await _there(vectors)
        await _indexed(spine, vectors, args.size)

    if not (args.folder / "vectors.ours_fill").exists():
        ours_fill(args)
    on_spine(args.folder, fill, _limits(args.size))


async def _there(vectors: VectorStoreService) -> None:
    """The collection is in memory; a large one may take several waits."""
    while True:
        try:
            await vectors.count("v")
        except DeadlineExceeded:
            continue
        return


async def _indexed(spine: Spine, vectors: VectorStoreService, size: int) -> None:
    """Its index is there."""
    query, began = questions(dimensions(size))[0].tolist(), time.perf_counter()
    await vectors.search("v", query, K)
    while True:
        with anyio.move_on_after(TOLD_S) as waited:
            await spine.vector_indexes.settled.wait()
        status = await vectors.index("v")
        if not waited.cancelled_caught:
            assert status.state is IndexState.READY, status
            return
        took = time.perf_counter() - began
        progress(f"{OURS_INDEX}: {status.progress:.0%} of {size:,} vectors after {took:.0f} s")


def ours(args: Args) -> tuple[float, ...]:
    return _ours(args, exact=True)


def ours_index(args: Args) -> tuple[float, ...]:
    return _ours(args, exact=False)


def _ours(args: Args, *, exact: bool) -> tuple[float, ...]:
    async def measure(spine: Spine) -> tuple[float, ...]:
        vectors, asked = spine.vectors(CONTEXT), questions(dimensions(args.size)).tolist()
        growth = Growth()
        await _there(vectors)
        if not exact:
            await _indexed(spine, vectors, args.size)

        async def search(n: int) -> list[int]:
            found = await vectors.search("v", asked[n % QUESTIONS], K, exact=exact)
            assert (len(found), found.exact) == (K, exact)
            return [int(one.id[1:]) for one in found]

        await search(0)
        timed = await closed(1, args.seconds, search)
        mb = growth.mb
        judged = [await search(n) for n in range(JUDGED)]
        return (*timed, recall(judged, truth(args.folder, args.size)), mb)

    limits = _limits(args.size)
    if exact:  # then none is read, either
        limits = Limits(**{**limits.model_dump(), "vector_exact_max": args.size})
    return on_spine(args.folder, measure, limits)
