"""AnnIndex: an approximate index of vectors, built by usearch. All of it blocks: for a thread.

    {"format":"eventspine vector index 1","dimensions":384,"metric":"cosine","at":61234,…}
    what usearch makes of it, of `bytes` bytes and SHA-256 `sha256`

Job: candidates for a search, quickly. Rules:
- A vector's key is the version of its point, which no other point and no other vector ever has. So
  a point that was deleted or replaced is no candidate any more, whatever the index still holds.
- `at`: every point up to this version is in it. What came later, the search looks at itself.
- One that is searched is not changed: it is copied, and the copy grows.
- What is read back is checked before usearch gets to see it; it may always be built anew.
Refused: changing it in place, which makes searches wait for additions; float16, which cannot hold
what a collection may.
Source: KIND-08, docs/decisions/0016-vector-index.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import msgspec

from eventspine.actors.states.vector_points import Points
from eventspine.contracts.errors import ExtraMissing, StoreCorrupt
from eventspine.contracts.vectors import CollectionInfo, Metric, VectorPoint

FORMAT = "eventspine vector index 1"
CONNECTIVITY = 16
EXPANSION_ADD = 64
EXPANSION_SEARCH = 256
VERIFIED_AT_ONCE = 4096
REMOVED_SHARE_MAX = 0.3  # a graph with more holes than that is built anew
_KIND = {Metric.COSINE: "cos", Metric.L2: "l2sq", Metric.DOT: "ip"}


class Header(msgspec.Struct, omit_defaults=True):
    """The first line of a side file."""

    dimensions: int
    metric: Metric
    at: int
    removed: int
    bytes: int
    sha256: str
    format: str = ""


_header = msgspec.json.Decoder(Header)


class AnnIndex:
    def __init__(self, info: CollectionInfo, engine: Any = None) -> None:
        self.dimensions, self.metric = info.dimensions, info.metric
        self.at = 0
        self.removed = 0  # since it was built: holes of the graph
        self._engine = _made(info) if engine is None else engine

    def __len__(self) -> int:
        return len(self._engine)

    # --- growing ---

    def copy(self) -> AnnIndex:
        """Another one with the same in it."""
        other = AnnIndex.__new__(AnnIndex)
        other.dimensions, other.metric = self.dimensions, self.metric
        other.at, other.removed = self.at, self.removed
        other._engine = _tuned(self._engine.copy())
        return other

    def add(self, points: Sequence[VectorPoint]) -> None:
        """Points in order of version, all behind `at`."""
        import numpy as np

        keys = np.array([point.version for point in points], dtype=np.uint64)
        block = b"".join([point.vector for point in points])
        vectors = np.frombuffer(block, dtype="<f4").reshape(len(points), self.dimensions)
        self._engine.add(keys, vectors, threads=1)
        self.at = points[-1].version

    def drop_all_but(self, points: Points) -> None:
        """Take out what is not among these points any more."""
        import numpy as np

        live = np.array([point.version for point in points.up_to(self.at)], dtype=np.uint64)
        dead = np.setdiff1d(self._engine.keys[:], live)
        if len(dead):
            self._engine.remove(dead, threads=1)
            self.removed += len(dead)

    def is_for(self, info: CollectionInfo) -> bool:
        return (self.dimensions, self.metric) == (info.dimensions, info.metric)

    def fits(self, points: Points) -> bool:
        """Whether it is of this collection and worth going on with."""
        holes = len(self) - points.count_up_to(self.at) + self.removed
        is_sound = 0 <= holes <= REMOVED_SHARE_MAX * (len(self) + self.removed)
        return is_sound and self.is_for(points.info)

    def agrees(self, points: Points) -> bool:
        """Whether it holds each of these points up to `at`, number by number.

        A file may be of a collection that was put back to an earlier day and went another way.
        """
        import numpy as np

        held = points.up_to(self.at)
        for start in range(0, len(held), VERIFIED_AT_ONCE):
            part = held[start : start + VERIFIED_AT_ONCE]
            keys = np.array([point.version for point in part], dtype=np.uint64)
            if not self._engine.contains(keys).all():
                return False
            block = b"".join([point.vector for point in part])
            if b"".join([one.tobytes() for one in self._engine.get(keys)]) != block:
                return False
        return True

    # --- searching ---

    def nearest(self, query: bytes, count: int) -> list[int]:
        """Versions of about the `count` nearest points, nearest first, dead ones among them."""
        import numpy as np

        if not len(self):
            return []
        found = self._engine.search(np.frombuffer(query, dtype="<f4"), count, threads=1)
        keys: list[int] = found.keys.tolist()
        return keys

    # --- its file ---

    def dumped(self) -> tuple[bytes, memoryview]:
        """The first line of its side file, and the rest."""
        data = memoryview(self._engine.save())
        header = Header(
            self.dimensions,
            self.metric,
            self.at,
            self.removed,
            len(data),
            hashlib.sha256(data).hexdigest(),
            FORMAT,
        )
        return msgspec.json.encode(header) + b"\n", data


def loaded(info: CollectionInfo, data: bytes) -> AnnIndex:
    """What `dumped` made of an index.

    Raises:
        StoreCorrupt: it is something else, or damaged.
        ExtraMissing: the extra `vector-ann` is not installed.
    """
    line, newline, rest = data.partition(b"\n")
    try:
        header = _header.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _corrupt("its first line is not one") from None
    if not newline or header.format != FORMAT:
        raise _corrupt(f"its format is {header.format[:64]!r}")
    if len(rest) != header.bytes or hashlib.sha256(rest).hexdigest() != header.sha256:
        raise _corrupt("its bytes are not what was written")
    try:
        made = _usearch().restore(rest)
    except (ValueError, RuntimeError) as error:  # another version wrote it
        raise _corrupt(f"usearch cannot read it: {error}") from None
    if made is None or made.ndim != header.dimensions:
        raise _corrupt("usearch cannot read it")
    index = AnnIndex(info, _tuned(made))
    index.dimensions, index.metric = header.dimensions, header.metric  # `fits` compares them
    index.at, index.removed = header.at, header.removed
    return index


@cache
def is_installed() -> bool:
    """Whether the extra `vector-ann` is there."""
    return find_spec("usearch") is not None and find_spec("numpy") is not None


def _usearch() -> Any:
    try:
        from usearch.index import Index
    except ImportError:
        raise ExtraMissing("the approximate index", "vector-ann") from None
    return Index


def _made(info: CollectionInfo) -> Any:
    return _usearch()(
        ndim=info.dimensions,
        metric=_KIND[info.metric],
        dtype="f32",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION_SEARCH,
    )


def _tuned(engine: Any) -> Any:
    """usearch does not keep these with an index."""
    engine.expansion_add, engine.expansion_search = EXPANSION_ADD, EXPANSION_SEARCH
    return engine


def _corrupt(found: str) -> StoreCorrupt:
    return StoreCorrupt(f"a side index: {found}", found=found)
