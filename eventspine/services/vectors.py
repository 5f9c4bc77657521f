"""VectorStoreService: collections of vectors, and searches in them. Source: KIND-08.

    vectors = spine.vectors(context)
    await vectors.create_collection("docs", 3, "cosine")
    await vectors.upsert("docs", "a", [1, 0, 0], {"lang": "en"})
    await vectors.search("docs", [1, 0.1, 0], k=5, filter={"lang": "en"})   # [Neighbour(…)]

A search sees the collection as it is when it is asked, and looks at it on a thread: exactly, or in
a collection of more than `vector_exact_max` points by way of an index (vector_plan.py). Answers
tell what is on disk, and nothing that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from eventspine.actors.states.vectors import Collection
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import InvalidJson, InvalidRequest, TooLarge
from eventspine.contracts.ids import checked_id
from eventspine.contracts.journal import Decision
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.vector_filter import compiled
from eventspine.contracts.vector_index import IndexStatus, SearchResults
from eventspine.contracts.vectors import (
    CollectionInfo,
    Metric,
    PointWrite,
    VectorPoint,
    packed,
)
from eventspine.services.audit_mutations import mutation
from eventspine.services.journals import Journals
from eventspine.services.vector_indexes import VectorIndexes
from eventspine.services.vector_plan import Search, find

A = TypeVar("A")
RESULTS_DEFAULT = 10


class VectorStoreService:
    """The collections of one scope. Made by `Spine.vectors(context)`."""

    def __init__(
        self, context: RequestContext, journals: Journals, indexes: VectorIndexes, limits: Limits
    ) -> None:
        self._context = context
        self._indexes = indexes
        self._journals = journals
        self._limits = limits

    # --- collections ---

    @mutation("vector_store", "vector.create_collection", "name", "dimensions", "metric")
    async def create_collection(
        self, name: str, dimensions: int, metric: str = "cosine"
    ) -> CollectionInfo:
        """Make a collection; one that is there already and the same stays as it is.

        Args:
            dimensions: how many numbers each of its vectors has.
            metric: `cosine`, `l2` or `dot`.

        Raises:
            CollectionConflict: it is there, with other dimensions or another metric.
        """
        kind = _metric(metric)
        if dimensions < 1:
            raise InvalidRequest("dimensions must be at least 1", parameter="dimensions")
        self._check("vector_dimensions_max", dimensions, "dimensions")
        now = self._journals.now()
        return await self._ask(name, lambda one: one.create(name, dimensions, kind, now))

    async def collection(self, name: str) -> CollectionInfo:
        """What it is, and how many points it holds. Raises CollectionNotFound."""
        return await self._ask(name, lambda one: Decision((), one.info(name)))

    async def count(self, name: str) -> int:
        """How many points it holds. Raises CollectionNotFound."""
        return (await self.collection(name)).count

    @mutation("vector_store", "vector.delete_collection", "name")
    async def delete_collection(self, name: str) -> bool:
        """Delete a collection and every point in it. Answers whether there was one."""
        now = self._journals.now()
        there = await self._ask(name, lambda one: one.drop(now))
        await self._indexes.throw_away(await self._indexes.of(self._context, name))
        return there

    async def index(self, name: str) -> IndexStatus:
        """How far its approximate index is. Raises CollectionNotFound."""
        points = await self._ask(name, lambda one: Decision((), one.everything(name)))
        side = await self._indexes.of(self._context, name)
        return await self._indexes.threads.run_sync(side.status, points)

    async def rebuild_index(self, name: str) -> None:
        """Throw its approximate index away; a new one is built if it is due.

        Raises:
            CollectionNotFound.
        """
        count = await self.count(name)
        side = await self._indexes.of(self._context, name)
        await self._indexes.throw_away(side)
        self._indexes.written(side, count)

    # --- points ---

    async def upsert(
        self,
        name: str,
        id: str,
        vector: Iterable[float],
        metadata: Mapping[str, Any] | None = None,
    ) -> VectorPoint:
        """Write a point, whatever was there; answers it as stored.

        Args:
            vector: finite numbers, as many as the collection has dimensions; kept as float32.
            metadata: a JSON object; searches filter by its top-level members.

        Raises:
            CollectionNotFound, InvalidVector.
        """
        (point,) = await self.write(name, [self.upsertion(id, vector, encoded(metadata))])
        assert point is not None, "an upsert leaves a point"
        return point

    async def upsert_many(
        self, name: str, points: Iterable[tuple[str, Iterable[float], Mapping[str, Any] | None]]
    ) -> list[VectorPoint]:
        """Write several points, `(id, vector, metadata)` each: all of them or none."""
        writes = [
            self.upsertion(id, vector, encoded(metadata), f"vector {n}")
            for n, (id, vector, metadata) in enumerate(points)
        ]
        return [point for point in await self.write(name, writes) if point is not None]

    def upsertion(
        self, id: str, vector: Iterable[float], json: bytes, where: str = "the vector"
    ) -> PointWrite:
        """One part of a batch: a point with metadata that is JSON text, an object."""
        return PointWrite(checked_id(id, "id"), packed(vector, where), json)

    @mutation("vector_store", "vector.write", "name", "writes")
    async def write(self, name: str, writes: Sequence[PointWrite]) -> list[VectorPoint | None]:
        """Several upserts and deletes: all of them or none. See `upsertion`."""
        self._check("batch_events_max", len(writes), "points in one batch")
        now, most = self._journals.now(), self._limits.vector_collection_max
        count = 0

        def decide(one: Collection) -> Decision[list[VectorPoint | None]]:
            nonlocal count
            count = one.count
            return one.write(name, writes, most, now)

        written = await self._ask(name, decide)
        if count >= self._limits.vector_exact_max:
            self._indexes.written(await self._indexes.of(self._context, name), count + 1)
        return written

    async def get(self, name: str, id: str) -> VectorPoint | None:
        """A point with its vector and metadata, or None. Raises CollectionNotFound."""
        checked_id(id, "id")
        return await self._ask(name, lambda one: Decision((), one.get(name, id)))

    @mutation("vector_store", "vector.delete", "name", "id")
    async def delete(self, name: str, id: str) -> bool:
        """Delete a point. Answers whether there was one. Raises CollectionNotFound."""

        def decide(one: Collection) -> Decision[bool]:
            there = one.get(name, id) is not None
            return Decision(one.write(name, [gone], 0, now).records, there)

        gone = PointWrite(checked_id(id, "id"), None)
        now = self._journals.now()
        return await self._ask(name, decide)

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
            k: 10 when left out, or fewer where the operator's maximum is lower.
            filter: conditions on the metadata, all of which have to hold; see VECTORS.md.
            exact: look at every point that matches, however many there are.

        Raises:
            CollectionNotFound, InvalidVector; InvalidRequest for the filter.
            ExtraMissing: the extra `vector` is not installed.
        """
        k = min(RESULTS_DEFAULT, self._limits.vector_results_max) if k is None else k
        if k < 1:
            raise InvalidRequest("k must be at least 1", parameter="k")
        self._check("vector_results_max", k, "results")
        exact_max = None if exact else self._limits.vector_exact_max
        search = Search(packed(vector, "the query"), k, compiled(filter), exact_max)
        points = await self._ask(name, lambda one: Decision((), one.points(name, search.query)))
        if exact or len(points) <= self._limits.vector_exact_max:
            return await self._indexes.threads.run_sync(find, points, None, search)
        side = await self._indexes.of(self._context, name)
        index = self._indexes.look(side, points)
        found = await self._indexes.threads.run_sync(find, points, index, search)
        self._indexes.note(side, points)
        return found

    # --- all of them ---

    def _check(self, limit: str, actual: int, what: str) -> None:
        maximum: int = getattr(self._limits, limit)
        if actual > maximum:
            raise TooLarge(f"{actual} {what}", limit=limit, maximum=maximum, actual=actual)

    async def _ask(self, name: str, decide: Callable[[Collection], Decision[A]]) -> A:
        checked_id(name, "collection")
        return await self._journals.ask(ResourceKind.VECTOR_STORE, name, self._context, decide)


def _metric(stated: str) -> Metric:
    try:
        return Metric(stated)
    except ValueError:
        known = ", ".join(Metric)
        raise InvalidRequest(
            f"unknown metric {str(stated)[:64]!r}; known: {known}", parameter="metric"
        ) from None


def encoded(metadata: Mapping[str, Any] | None) -> bytes:
    """JSON text of the metadata a program hands over. Raises InvalidJson."""
    try:
        return b"{}" if metadata is None else orjson.dumps(dict(metadata))
    except (TypeError, ValueError) as error:
        raise InvalidJson(f"the metadata is not a JSON object: {error}") from None
