"""The ten nearest of many vectors, exactly, one question at a time: beside faiss and sqlite-vec.

384 dimensions of single precision, cosine: 500 topics in 24 dimensions and noise around them, which
is what embeddings of texts look like. faiss has one thread, as the others do; its index is flat, so
all three answer exactly. A million of ours do not fit into a collection (`vector_collection_max`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from bench.kinds.rows import columns, embedded, needs, sizes
from bench.kinds.spines import CONTEXT, Growth, on_spine
from bench.kinds.timing import Args, closed, in_turn
from bench.stage import Row, Stage
from eventspine import Spine

if TYPE_CHECKING:
    import apsw
    import numpy as np

TITLE = "the 10 nearest of {size:,} vectors of 384 dimensions, exactly"
COLUMNS = columns("search")
SIZES = (10_000, 100_000)
FAISS, SQLITE_VEC = "faiss, IndexFlatIP, one thread", "sqlite-vec, vec0"
DIMENSIONS, TOPICS, LATENT, K, SEED = 384, 500, 24, 10, 7
QUESTIONS = 1_000
BATCH = 1_000


def contenders(stage: Stage, size: int) -> list[Row]:
    numpy, vec = needs("numpy"), needs("apsw") or needs("sqlite_vec")
    return [
        embedded(
            stage,
            "eventspine, embedded",
            "vectors.ours",
            size,
            client="one task, uvloop",
            missing=numpy or vec,
        ),
        embedded(stage, FAISS, "vectors.faiss", size, missing=numpy or needs("faiss")),
        embedded(stage, SQLITE_VEC, "vectors.sqlite_vec", size, missing=numpy or vec),
    ]


def vector_sizes(stage: Stage) -> tuple[int, ...]:
    return sizes(stage, SIZES)


def blocks(count: int, seed: int = SEED) -> Iterator[np.ndarray[Any, Any]]:
    """Vectors of length one, as float32, a thousand at a time; the same for everybody."""
    import numpy as np

    shape = np.random.default_rng(SEED)
    topics = shape.normal(size=(TOPICS, LATENT))
    lift = shape.normal(size=(LATENT, DIMENSIONS))
    dice = np.random.default_rng(seed)
    for start in range(0, count, BATCH):
        some = min(BATCH, count - start)
        latent = topics[dice.integers(TOPICS, size=some)] + dice.normal(size=(some, LATENT)) / 2
        made = latent @ lift + dice.normal(size=(some, DIMENSIONS)) / 2
        yield (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def questions() -> np.ndarray[Any, Any]:
    import numpy as np

    return np.concatenate(list(blocks(QUESTIONS, SEED + 1)))


def ours_fill(args: Args) -> None:
    async def fill(spine: Spine) -> None:
        vectors, number = spine.vectors(CONTEXT), 0
        await vectors.create_collection("v", DIMENSIONS)
        for block in blocks(args.size):
            rows = [(f"p{number + at}", row, None) for at, row in enumerate(block.tolist())]
            await vectors.upsert_many("v", rows)
            number += len(rows)

    on_spine(args.folder, fill)


def ours(args: Args) -> tuple[float, ...]:
    async def measure(spine: Spine) -> tuple[float, ...]:
        vectors, asked, growth = spine.vectors(CONTEXT), questions().tolist(), Growth()

        async def search(n: int) -> None:
            found = await vectors.search("v", asked[n % QUESTIONS], K, exact=True)
            assert len(found) == K

        await search(0)
        return (*await closed(1, args.seconds, search), growth.mb)

    return on_spine(args.folder, measure)


def faiss_fill(args: Args) -> None:
    import faiss

    index = faiss.IndexFlatIP(DIMENSIONS)
    for block in blocks(args.size):
        index.add(block)
    faiss.write_index(index, str(args.folder / "index.faiss"))


def faiss(args: Args) -> tuple[float, ...]:
    import faiss as engine

    engine.omp_set_num_threads(1)
    asked, growth = questions(), Growth()
    index = engine.read_index(str(args.folder / "index.faiss"))

    def search(n: int) -> None:
        at = n % QUESTIONS
        _, found = index.search(asked[at : at + 1], K)
        assert found.shape == (1, K)

    return (*in_turn(args.seconds, search), growth.mb)


def _connect(args: Args) -> apsw.Connection:
    import apsw
    import sqlite_vec  # type: ignore[import-untyped]

    connection = apsw.Connection(str(args.folder / "vectors.db"))
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    return connection


def sqlite_vec_fill(args: Args) -> None:
    with closing(_connect(args)) as connection:
        connection.execute(
            f"CREATE VIRTUAL TABLE v USING vec0(e float[{DIMENSIONS}] distance_metric=cosine)"
        )
        number = 0
        with connection:
            for block in blocks(args.size):
                rows = [(number + at, row.tobytes()) for at, row in enumerate(block)]
                connection.executemany("INSERT INTO v (rowid, e) VALUES (?, ?)", rows)
                number += len(rows)


def sqlite_vec(args: Args) -> tuple[float, ...]:
    with closing(_connect(args)) as connection:
        asked, growth = [row.tobytes() for row in questions()], Growth()
        query = "SELECT rowid, distance FROM v WHERE e MATCH ? AND k = ? ORDER BY distance"

        def search(n: int) -> None:
            found = list(connection.execute(query, (asked[n % QUESTIONS], K)))
            assert len(found) == K

        return (*in_turn(args.seconds, search), growth.mb)
