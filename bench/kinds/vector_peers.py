"""faiss and sqlite-vec over the vectors of bench.kinds.vector_data: filled, searched."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from bench.kinds.spines import Growth
from bench.kinds.timing import Args, in_turn
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

if TYPE_CHECKING:
    import apsw

CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 16, 64, 256  # those of ours


def flat_fill(args: Args) -> None:
    import faiss

    _faiss_fill(args, faiss.IndexFlatIP(dimensions(args.size)), "flat")


def flat(args: Args) -> tuple[float, ...]:
    return _faiss(args, "flat")


def hnsw_fill(args: Args) -> None:
    """With all cores, which a service that serves others would not take."""
    import faiss

    width = dimensions(args.size)
    index = faiss.IndexHNSWFlat(width, CONNECTIVITY, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EXPANSION_ADD
    _faiss_fill(args, index, "hnsw")


def hnsw(args: Args) -> tuple[float, ...]:
    return _faiss(args, "hnsw")


def _faiss_fill(args: Args, index: Any, name: str) -> None:
    import faiss

    for block in blocks(args.size, width=dimensions(args.size), told=f"faiss, {name}"):
        index.add(block)
    faiss.write_index(index, str(args.folder / f"{name}.faiss"))


def _faiss(args: Args, name: str) -> tuple[float, ...]:
    import faiss

    faiss.omp_set_num_threads(1)
    asked, growth = questions(dimensions(args.size)), Growth()
    index: Any = faiss.read_index(str(args.folder / f"{name}.faiss"))
    if name == "hnsw":
        index.hnsw.efSearch = EXPANSION_SEARCH

    def search(n: int) -> list[int]:
        at = n % QUESTIONS
        _, found = index.search(asked[at : at + 1], K)
        assert found.shape == (1, K)
        numbers: list[int] = found[0].tolist()
        return numbers

    timed = in_turn(args.seconds, search)
    mb = growth.mb
    return (*timed, _recall(args, [search(n) for n in range(JUDGED)]), mb)


def _connect(args: Args) -> apsw.Connection:
    import apsw
    import sqlite_vec

    connection = apsw.Connection(str(args.folder / "vectors.db"))
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    return connection


def sqlite_vec_fill(args: Args) -> None:
    width = dimensions(args.size)
    with closing(_connect(args)) as connection:
        connection.execute(
            f"CREATE VIRTUAL TABLE v USING vec0(e float[{width}] distance_metric=cosine)"
        )
        number = 0
        with connection:
            for block in blocks(args.size, width=width, told="sqlite-vec"):
                rows = [(number + at, row.tobytes()) for at, row in enumerate(block)]
                connection.executemany("INSERT INTO v (rowid, e) VALUES (?, ?)", rows)
                number += len(rows)


def sqlite_vec(args: Args) -> tuple[float, ...]:
    with closing(_connect(args)) as connection:
        asked = [row.tobytes() for row in questions(dimensions(args.size))]
        growth = Growth()
        query = "SELECT rowid, distance FROM v WHERE e MATCH ? AND k = ? ORDER BY distance"

        def search(n: int) -> list[int]:
            found = list(connection.execute(query, (asked[n % QUESTIONS], K)))
            assert len(found) == K
            return [int(number) for number, _ in found]

        timed = in_turn(args.seconds, search)
        mb = growth.mb
        return (*timed, _recall(args, [search(n) for n in range(JUDGED)]), mb)


def _recall(args: Args, answers: Sequence[Sequence[int]]) -> float:
    return recall(answers, truth(args.folder, args.size))
