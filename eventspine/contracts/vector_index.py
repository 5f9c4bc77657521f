"""The side index of a collection of vectors: what it is, and what a search says of its way.

It is approximate, rebuildable, and never the truth: raw vectors are in the journal (KIND-08).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from eventspine.contracts.vectors import Neighbour

EXACT_ENGINE = "numpy"
ANN_ENGINE = "usearch"


class IndexState(StrEnum):
    """`none`: the collection is small enough, or nobody searched it yet."""

    NONE = "none"
    BUILDING = "building"
    READY = "ready"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """How far a side index is. What is `behind` it, searches look at exactly."""

    state: IndexState
    points: int = 0
    behind: int = 0
    progress: float = 0.0  # of what is being built, 0 to 1
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "engine": ANN_ENGINE}


class SearchResults(list[Neighbour]):
    """The points that were found, nearest first, and how.

    Attributes:
        engine: what looked first: `numpy` at all that match, `usearch` at its index.
        exact: whether no nearer point can be missing.
    """

    def __init__(self, found: Iterable[Neighbour], engine: str, *, exact: bool) -> None:
        super().__init__(found)
        self.engine = engine
        self.exact = exact
