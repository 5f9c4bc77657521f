"""Vectors as embeddings are: about some topics, in few dimensions that are spread over many."""

from __future__ import annotations

import random

SEED = 20261129
DIMENSIONS, INNER, TOPICS = 32, 8, 20


class Latent:
    def __init__(self, seed: int = SEED) -> None:
        self._chance = random.Random(seed)
        self._topics = [self._row(INNER) for _ in range(TOPICS)]
        self._lift = [self._row(INNER) for _ in range(DIMENSIONS)]

    def _row(self, count: int) -> list[float]:
        return [self._chance.gauss(0, 1) for _ in range(count)]

    def vector(self) -> list[float]:
        inner = [x + self._chance.gauss(0, 0.5) for x in self._chance.choice(self._topics)]
        return [
            sum(a * b for a, b in zip(row, inner, strict=True)) + self._chance.gauss(0, 0.05)
            for row in self._lift
        ]
