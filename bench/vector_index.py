"""python -m bench.vector_index [size …]: the approximate index beside the exact search.

The data of `bench.kinds.vector_data` (384 dimensions, 500 topics in 24 dimensions and noise, seed
7), cosine, k = 10, 100 questions about the same topics, one at a time, one thread. Recall: how many
of the exact ten the index has. What a search does on its thread is timed, nothing else.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from bench.kinds.vector_data import DIMENSIONS, K, blocks, questions
from eventspine.actors.states.vector_points import Points
from eventspine.actors.states.vector_rows import rows_of
from eventspine.contracts.vector_filter import compiled
from eventspine.contracts.vector_index import SearchResults
from eventspine.contracts.vectors import CollectionInfo, Metric, VectorPoint
from eventspine.services.vector_ann import AnnIndex
from eventspine.services.vector_plan import Search, find

SIZES = (10_000, 100_000)
QUESTIONS = 100
BATCH = 500
FILTERS = {"no filter": None, "a filter that keeps 60 %": {"n": {"lt": 60}}}


def points_of(size: int) -> Points:
    found: list[VectorPoint] = []
    for block in blocks(size):
        for row in block:
            n = len(found) + 1
            found.append(VectorPoint(f"p{n}", row.tobytes(), b'{"n":%d}' % (n % 100), n, ""))
    return Points(CollectionInfo("v", DIMENSIONS, Metric.COSINE, size, ""), rows_of(found))


def built(points: Points) -> AnnIndex:
    index = AnnIndex(points.info)
    for start in range(0, len(points), BATCH):
        index.add(points.all[start : start + BATCH])
    return index


def timed(points: Points, index: AnnIndex, search: Search) -> tuple[SearchResults, float]:
    began = time.perf_counter()
    found = find(points, index, search)
    return found, (time.perf_counter() - began) * 1000


def measure(size: int) -> None:
    points = points_of(size)
    began = time.process_time()
    index = built(points)
    print(
        f"{size:,} points: built in {time.process_time() - began:.1f} s of processor time", end=""
    )
    line, data = index.dumped()
    print(f", {(len(line) + len(data)) / 1e6:.0f} MB")
    for name, stated in FILTERS.items():
        right, near, exact = 0, [], []
        for question in questions()[:QUESTIONS]:
            search = Search(question.tobytes(), K, compiled(stated), size // 2)
            found, ms = timed(points, index, search)
            assert not found.exact
            truth, exact_ms = timed(points, index, search._replace(exact_max=None))
            near.append(ms)
            exact.append(exact_ms)
            right += len({one.id for one in found} & {one.id for one in truth})
        print(
            f"  {name}: recall@{K} {right / (K * QUESTIONS):.4f},"
            f" p50 {median(near):.1f} ms, exactly {median(exact):.1f} ms"
        )


if __name__ == "__main__":
    for size in [int(word) for word in sys.argv[1:]] or SIZES:
        measure(size)
