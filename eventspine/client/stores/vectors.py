"""The vectors of a server: collections, points, searches. The operations of VectorStoreService.

Everything here may be repeated: a point that is written again is the same point, at another
version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from eventspine.client.stores.asking import JSON, AskStore, address, decoded, encoded
from eventspine.contracts.errors import CollectionNotFound, VectorNotFound
from eventspine.contracts.vector_index import IndexState, IndexStatus, SearchResults
from eventspine.contracts.vectors import CollectionInfo, Metric, Neighbour, VectorPoint, packed

_NO_METADATA: Mapping[str, Any] = {}


class _Collection(msgspec.Struct):
    collection: str
    dimensions: int
    metric: Metric
    count: int
    created_at: str

    @property
    def info(self) -> CollectionInfo:
        return CollectionInfo(*msgspec.structs.astuple(self))


class _Written(msgspec.Struct):
    id: str
    metadata: msgspec.Raw
    version: int
    updated_at: str

    def point(self, vector: bytes) -> VectorPoint:
        return VectorPoint(self.id, vector, bytes(self.metadata), self.version, self.updated_at)


class _Batch(msgspec.Struct):
    points: list[_Written]


class _Point(_Written):
    vector: list[float]


class _Found(_Written):
    distance: float


class _Results(msgspec.Struct):
    results: list[_Found]
    engine: str
    exact: bool


class _Index(msgspec.Struct):
    state: IndexState
    points: int
    behind: int
    progress: float
    detail: str


class ClientVectors:
    """Made by `EventspineClient.vectors`. What a search finds is answered without its vectors."""

    def __init__(self, ask: AskStore) -> None:
        self._ask = ask

    # --- collections ---

    async def create_collection(
        self, name: str, dimensions: int, metric: str = "cosine"
    ) -> CollectionInfo:
        """Make a collection; one that is there already and the same stays as it is.

        Raises:
            CollectionConflict: it is there, with other dimensions or another metric.
        """
        body = encoded({"dimensions": dimensions, "metric": metric})
        response = await self._ask("PUT", _path(name), content=body, headers=[JSON])
        return decoded(response, _Collection).info

    async def collection(self, name: str) -> CollectionInfo:
        """What it is, and how many points it holds. Raises CollectionNotFound."""
        return decoded(await self._ask("GET", _path(name)), _Collection).info

    async def count(self, name: str) -> int:
        """How many points it holds. Raises CollectionNotFound."""
        return (await self.collection(name)).count

    async def delete_collection(self, name: str) -> bool:
        """Delete a collection and every point in it. Answers whether there was one, as far as the
        last try can tell."""
        try:
            await self._ask("DELETE", _path(name))
        except CollectionNotFound:
            return False
        return True

    # --- points ---

    async def upsert(
        self,
        name: str,
        id: str,
        vector: Iterable[float],
        metadata: Mapping[str, Any] | None = None,
    ) -> VectorPoint:
        """Write a point, whatever was there; answers it as stored, as float32.

        Raises:
            CollectionNotFound, InvalidVector.
        """
        kept, values = _both(vector, "the vector")
        response = await self._ask(
            "PUT",
            _path(name, "points", id),
            content=encoded({"vector": values, "metadata": metadata or _NO_METADATA}),
            headers=[JSON],
        )
        return decoded(response, _Written).point(kept)

    async def upsert_many(
        self, name: str, points: Iterable[tuple[str, Iterable[float], Mapping[str, Any] | None]]
    ) -> list[VectorPoint]:
        """Write several points, `(id, vector, metadata)` each: all of them or none."""
        kept, body = [], []
        for n, (id, vector, metadata) in enumerate(points):
            bytes_of, values = _both(vector, f"vector {n}")
            kept.append(bytes_of)
            body.append({"id": id, "vector": values, "metadata": metadata or _NO_METADATA})
        response = await self._ask(
            "POST", _path(name, "points"), content=encoded({"points": body}), headers=[JSON]
        )
        written = decoded(response, _Batch).points
        return [one.point(vector) for one, vector in zip(written, kept, strict=True)]

    async def get(self, name: str, id: str) -> VectorPoint | None:
        """A point with its vector and metadata, or None. Raises CollectionNotFound."""
        try:
            response = await self._ask("GET", _path(name, "points", id))
        except VectorNotFound:
            return None
        found = decoded(response, _Point)
        return found.point(packed(found.vector))

    async def delete(self, name: str, id: str) -> bool:
        """Delete a point. Answers whether there was one, as far as the last try can tell.

        Raises:
            CollectionNotFound.
        """
        try:
            await self._ask("DELETE", _path(name, "points", id))
        except VectorNotFound:
            return False
        return True

    # --- search ---

    async def search(
        self,
        name: str,
        vector: Iterable[float],
        k: int | None = None,
        filter: Mapping[str, Any] | None = None,
        *,
        exact: bool = False,
    ) -> SearchResults:
        """The `k` nearest points that match the filter, ties in order of id; how it found them.

        Args:
            k: the server's default when left out.
            filter: conditions on the metadata, all of which have to hold; see VECTORS.md.
            exact: look at every point that matches, however many there are.

        Raises:
            CollectionNotFound, InvalidVector; InvalidRequest for the filter.
        """
        _, values = _both(vector, "the query")
        body: dict[str, Any] = {"vector": values, "exact": exact}
        if k is not None:
            body["k"] = k
        if filter is not None:
            body["filter"] = filter
        response = await self._ask(
            "POST", _path(name, "search"), content=encoded(body), headers=[JSON]
        )
        found = decoded(response, _Results)
        nearest = [Neighbour(one.point(b""), one.distance) for one in found.results]
        return SearchResults(nearest, found.engine, exact=found.exact)

    async def index(self, name: str) -> IndexStatus:
        """How far its approximate index is. Raises CollectionNotFound."""
        found = decoded(await self._ask("GET", _path(name, "index")), _Index)
        return IndexStatus(*msgspec.structs.astuple(found))

    async def rebuild_index(self, name: str) -> None:
        """Throw its approximate index away; a new one is built if it is due."""
        await self._ask("DELETE", _path(name, "index"))


def _path(name: str, *more: str) -> str:
    return address("vectors", name, *more)


def _both(vector: Iterable[float], where: str) -> tuple[bytes, list[float]]:
    """As it is kept, and as it is sent. Raises InvalidVector."""
    values = list(vector)
    kept = packed(values, where)
    return kept, [float(value) for value in values]
