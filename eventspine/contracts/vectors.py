"""Vectors of a collection: what the vector store is given and answers. Source: KIND-08.

A vector is kept as little-endian float32; that rounding is all that ever happens to it. Distances
are of the kept values, in double precision, smaller is nearer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import fsum, hypot, sqrt
from operator import mul
from typing import Any, NamedTuple

import msgspec
import orjson

from eventspine.contracts.errors import InvalidVector
from eventspine.native import core

COMPONENT_MAX = 1e15  # beyond that, sums of squares leave what float32 can hold
LENGTH_MIN = 1e-15  # shorter has no direction that float32 can tell
_FLOAT_BYTES = 4


class Metric(StrEnum):
    """How far apart two vectors are."""

    COSINE = "cosine"  # 1 - cos of the angle: 0 to 2
    L2 = "l2"  # the length of the difference
    DOT = "dot"  # minus the inner product


class VectorPoint(msgspec.Struct, gc=False, eq=False):
    """One vector with its metadata, as it stands. Never changed once made.

    `data` are the bytes of the vector, or those of many, of which `row` is one of `size` bytes.
    """

    id: str
    data: bytes | bytearray
    json: bytes  # the metadata as it was sent
    version: int
    updated_at: str
    row: int = 0
    size: int = 0
    _metadata: dict[str, Any] | None = None

    @property
    def vector(self) -> bytes:
        """Little-endian float32."""
        start = self.row * self.size
        return bytes(self.data[start : start + self.size] if self.size else self.data)

    @property
    def metadata(self) -> dict[str, Any]:
        """Decoded once, and shared: not to be changed."""
        if self._metadata is None:
            self._metadata = orjson.loads(self.json)
        return self._metadata

    @property
    def values(self) -> tuple[float, ...]:
        return unpacked(self.vector)

    def as_json(self, *, vector: bool = True) -> dict[str, Any]:
        values = {"vector": self.values} if vector else {}
        return {
            "id": self.id,
            **values,
            "metadata": orjson.Fragment(self.json),
            "version": self.version,
            "updated_at": self.updated_at,
        }


class Neighbour(NamedTuple):
    """A point that was found, and how far away it is."""

    point: VectorPoint
    distance: float

    @property
    def id(self) -> str:
        return self.point.id

    def as_json(self) -> dict[str, Any]:
        point = self.point.as_json(vector=False)
        return {"id": point.pop("id"), "distance": self.distance, **point}


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """What a collection is, and how many points it holds."""

    collection: str
    dimensions: int
    metric: Metric
    count: int
    created_at: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class PointWrite(NamedTuple):
    """One part of a batch: an upsert, or a delete where `vector` is None."""

    id: str
    vector: bytes | None
    json: bytes = b"{}"


def packed(values: Iterable[float], where: str = "the vector") -> bytes:
    """Little-endian float32. Raises InvalidVector for what is not finite or too large."""
    try:
        numbers = tuple(values)
        vector = struct.pack(f"<{len(numbers)}f", *numbers)
        # none is larger than the length; comparisons with NaN are false, so that NaN is refused too
        usable = hypot(*numbers) <= COMPONENT_MAX or all(
            -COMPONENT_MAX <= value <= COMPONENT_MAX for value in numbers
        )
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        raise InvalidVector(f"{where} is not numbers that float32 can hold: {error}") from None
    if not usable:
        raise InvalidVector(f"{where} has a number that is not finite or beyond {COMPONENT_MAX:g}")
    return vector


def unpacked(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // _FLOAT_BYTES}f", vector)


def dimensions_of(vector: bytes) -> int:
    return len(vector) // _FLOAT_BYTES


def length(vector: bytes) -> float:
    return sqrt(_dot(vector, vector))


def has_direction(vector: bytes) -> bool:
    """Whether it is long enough to have one. One number that is, is enough."""
    for (value,) in struct.iter_unpack("<f", vector):
        if abs(value) >= LENGTH_MIN:
            return True
    return length(vector) >= LENGTH_MIN


def distance(metric: Metric, a: bytes, b: bytes, a_length: float | None = None) -> float:
    """The distance that answers state; the same whatever engine looked first, and whoever adds up.

    Args:
        a_length: what `length(a)` says, if that is known.
    """
    if metric is Metric.L2:
        return sqrt(_apart(a, b))
    dot = _dot(a, b)
    if metric is Metric.DOT:
        return 0.0 - dot  # not -0.0
    return min(2.0, max(0.0, 1.0 - dot / ((a_length or length(a)) * length(b))))


def _dot(a: bytes, b: bytes) -> float:
    """Rounded once: products of float32 are exact."""
    found: float | None = None if core is None else core.dot(a, b)
    return fsum(map(mul, unpacked(a), unpacked(b))) if found is None else found


def _apart(a: bytes, b: bytes) -> float:
    """The square of how far apart they are."""
    found: float | None = None if core is None else core.apart(a, b)
    if found is not None:
        return found
    gaps = [x - y for x, y in zip(unpacked(a), unpacked(b), strict=True)]
    return fsum(map(mul, gaps, gaps))
