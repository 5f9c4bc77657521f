"""The vectors that everybody is given, the questions, and which ten are the nearest.

500 topics in 24 dimensions and noise around them, which is what embeddings of texts look like:
384 dimensions of single precision, and 128 where there are a million of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bench.stage import progress

if TYPE_CHECKING:
    import numpy as np

DIMENSIONS, DIMENSIONS_OF_MANY = 384, 128
MANY = 1_000_000
TOPICS, LATENT, K, SEED = 500, 24, 10, 7
QUESTIONS = 1_000
JUDGED = 100  # of them, by which recall is told
BATCH = 1_000
TOLD_EVERY = 100_000


def dimensions(size: int) -> int:
    return DIMENSIONS_OF_MANY if size >= MANY else DIMENSIONS


def blocks(
    count: int, seed: int = SEED, width: int = DIMENSIONS, *, told: str = ""
) -> Iterator[np.ndarray[Any, Any]]:
    """Vectors of length one, as float32, a thousand at a time; the same for everybody.

    Args:
        told: to whom they are given: then the progress of it is said on standard error.
    """
    import numpy as np

    shape = np.random.default_rng(SEED)
    topics = shape.normal(size=(TOPICS, LATENT))
    lift = shape.normal(size=(LATENT, width))
    dice = np.random.default_rng(seed)
    for start in range(0, count, BATCH):
        some = min(BATCH, count - start)
        latent = topics[dice.integers(TOPICS, size=some)] + dice.normal(size=(some, LATENT)) / 2
        made = latent @ lift + dice.normal(size=(some, width)) / 2
        yield (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
        done = start + some
        if told and count > TOLD_EVERY and not done % TOLD_EVERY:
            progress(f"{told}: {done:,} of {count:,} vectors")


def questions(width: int = DIMENSIONS) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.concatenate(list(blocks(QUESTIONS, SEED + 1, width)))


def truth(folder: Path, size: int) -> list[list[int]]:
    """The numbers of the ten nearest of all vectors, for each question that is judged.

    By matrix products in double precision, once for all who share a folder.
    """
    import numpy as np

    file = folder / "truth.json"
    if not file.exists():
        asked = questions(dimensions(size))[:JUDGED].astype(np.float64)
        near = np.full((len(asked), K), -np.inf)
        found = np.zeros((len(asked), K), dtype=np.int64)
        start = 0
        for block in blocks(size, width=dimensions(size)):
            dots = asked @ block.astype(np.float64).T
            rows = np.arange(start, start + len(block))
            near = np.concatenate([near, dots], axis=1)
            found = np.concatenate([found, np.broadcast_to(rows, dots.shape)], axis=1)
            best = np.argpartition(-near, K - 1, axis=1)[:, :K]
            near, found = (np.take_along_axis(one, best, axis=1) for one in (near, found))
            start += len(block)
        file.write_bytes(orjson.dumps(found.tolist()))
    known: list[list[int]] = orjson.loads(file.read_bytes())
    return known


def recall(answers: Sequence[Sequence[int]], known: Sequence[Sequence[int]]) -> float:
    """The share of the nearest that the answers have."""
    right = sum([len({*one} & {*other}) for one, other in zip(answers, known, strict=True)])
    return right / sum(map(len, known))
