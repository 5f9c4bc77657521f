"""A collection of the vector store: its points by id, and what it is a collection of. Pure.

    {"id":"","version":1,"updated_at":"…","dimensions":2,"metric":"cosine",…}
    {"id":"a","version":2,"updated_at":"…","vector":"AACAPwAAAAA=","metadata":{"lang":"en"},…}
    {"id":"a","version":3,"updated_at":"…","deleted":true,…}

Rules: a record without an id is of the collection itself: made, deleted with all it held, or just
its version. `version` counts the changes and is never used twice. Raw vectors are here and in the
journal; no engine that searches them owns anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from eventspine.actors.states.vector_points import Points
from eventspine.actors.states.vector_rows import Rows
from eventspine.contracts.errors import (
    CollectionConflict,
    CollectionNotFound,
    InvalidVector,
    TooLarge,
)
from eventspine.contracts.journal import Decision, State
from eventspine.contracts.vectors import (
    LENGTH_MIN,
    CollectionInfo,
    Metric,
    PointWrite,
    VectorPoint,
    dimensions_of,
    has_direction,
)

EMPTY = msgspec.Raw(b"{}")


class VectorRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """A point was written or deleted; without an id: the collection was."""

    id: str
    version: int
    updated_at: str
    vector: bytes = b""  # base64 in the line
    metadata: msgspec.Raw = EMPTY
    deleted: bool = False
    dimensions: int = 0
    metric: Metric = Metric.COSINE


class Collection(State[VectorRecord]):
    record = VectorRecord

    def __init__(self) -> None:
        self.version = 0
        self._made: VectorRecord | None = None
        self._rows = Rows()
        self._latest = ""
        self._shown: Points | None = None

    # --- what it adds up to ---

    def apply(self, record: VectorRecord, sequence: int) -> None:
        self.version = max(self.version, record.version)
        self._latest = max(self._latest, record.updated_at)
        self._shown = None
        if not record.id:
            self._apply_to_all(record)
        elif record.deleted:
            self._rows.remove(record.id)
        else:
            json = bytes(record.metadata)
            self._rows.put(record.id, record.vector, json, record.version, record.updated_at)

    def _apply_to_all(self, record: VectorRecord) -> None:
        if record.deleted:
            self._made = None
            self._rows = Rows()
        elif record.dimensions:
            self._made = record

    @property
    def live(self) -> int:
        return len(self._rows.by_id) + 1

    def snapshot(self) -> Iterable[VectorRecord]:
        last = 0
        if self._made is not None:
            last = self._made.version
            yield self._made
        for point in self._rows.by_id.values():
            last = max(last, point.version)
            yield VectorRecord(
                point.id,
                point.version,
                point.updated_at,
                point.vector,
                msgspec.Raw(point.json),
            )
        if last < self.version:  # the youngest change was a deletion; its number stays spent
            yield VectorRecord("", self.version, self._latest)

    def names(self) -> Iterable[str]:
        return list(self._rows.by_id)

    def opening(self) -> Sequence[VectorRecord]:
        return [] if self._made is None else [self._made]

    def record_of(self, name: str) -> VectorRecord | None:
        point = self._rows.by_id.get(name)
        if point is None:
            return None
        data = msgspec.Raw(point.json)
        return VectorRecord(point.id, point.version, point.updated_at, point.vector, data)

    def closing(self) -> Sequence[VectorRecord]:
        return [VectorRecord("", self.version, self._latest)]

    # --- questions ---

    def info(self, name: str) -> CollectionInfo:
        """Raises CollectionNotFound."""
        made = self._needed(name)
        return CollectionInfo(
            name, made.dimensions, made.metric, len(self._rows.by_id), made.updated_at
        )

    def get(self, name: str, id: str) -> VectorPoint | None:
        """Raises CollectionNotFound."""
        self._needed(name)
        return self._rows.by_id.get(id)

    def points(self, name: str, query: bytes) -> Points:
        """All there is, for a search with `query`. Raises as `check` does."""
        self.check(name, query, "the query")
        return self.everything(name)

    @property
    def count(self) -> int:
        return len(self._rows.by_id)

    def everything(self, name: str) -> Points:
        """All there is. Raises CollectionNotFound."""
        if self._shown is None:
            self._shown = Points(self.info(name), self._rows.shown())
        return self._shown

    def check(self, name: str, vector: bytes, where: str = "the vector") -> None:
        """Raises CollectionNotFound; InvalidVector for one that cannot be compared here."""
        made = self._needed(name)
        found = dimensions_of(vector)
        if found != made.dimensions:
            raise InvalidVector(
                f"{where} has {found} dimensions, the collection {made.dimensions}",
                dimensions=found,
                expected=made.dimensions,
            )
        if made.metric is Metric.COSINE and not has_direction(vector):
            raise InvalidVector(f"{where} has no direction: its length is below {LENGTH_MIN:g}")

    def _needed(self, name: str) -> VectorRecord:
        if self._made is None:
            raise CollectionNotFound(f"no collection {name!r}")
        return self._made

    # --- decisions ---

    def create(
        self, name: str, dimensions: int, metric: Metric, now: str
    ) -> Decision[CollectionInfo]:
        """Make the collection; nothing if it is there and the same.

        Raises:
            CollectionConflict: it is there, with other dimensions or another metric.
        """
        made = self._made
        if made is None:
            record = VectorRecord("", self.version + 1, now, dimensions=dimensions, metric=metric)
            return Decision([record], CollectionInfo(name, dimensions, metric, 0, now))
        if (made.dimensions, made.metric) != (dimensions, metric):
            raise CollectionConflict(
                f"{name!r} has {made.dimensions} dimensions and metric {made.metric.value}",
                dimensions=made.dimensions,
                metric=made.metric.value,
            )
        return Decision((), self.info(name))

    def drop(self, now: str) -> Decision[bool]:
        """Delete the collection and every point in it. Answers whether there was one."""
        if self._made is None:
            return Decision((), False)
        return Decision([VectorRecord("", self.version + 1, now, deleted=True)], True)

    def write(
        self, name: str, writes: Sequence[PointWrite], points_max: int, now: str
    ) -> Decision[list[VectorPoint | None]]:
        """All of the writes or none. Answers the point as it is after each; None after a deletion.

        Raises:
            CollectionNotFound, InvalidVector.
            TooLarge: there would be more than `points_max` points afterwards.
        """
        self._needed(name)
        records: list[VectorRecord] = []
        answers: list[VectorPoint | None] = []
        changed: dict[str, bool] = {}  # whether it is there afterwards
        for n, one in enumerate(writes):
            version = self.version + len(records) + 1
            if one.vector is None:
                answers.append(None)
                if changed.get(one.id, one.id in self._rows.by_id):
                    records.append(VectorRecord(one.id, version, now, deleted=True))
                    changed[one.id] = False
                continue
            self.check(name, one.vector, f"vector {n}" if len(writes) > 1 else "the vector")
            data = msgspec.Raw(one.json)
            records.append(VectorRecord(one.id, version, now, one.vector, data))
            answers.append(VectorPoint(one.id, one.vector, one.json, version, now))
            changed[one.id] = True
        self._check_room(changed, points_max)
        return Decision(records, answers)

    def _check_room(self, changed: dict[str, bool], points_max: int) -> None:
        """Deleting and replacing goes on in a collection that is full."""
        there = len(self._rows.by_id)
        after = there + sum(is_there - (id in self._rows.by_id) for id, is_there in changed.items())
        if after > max(points_max, there):
            raise TooLarge(
                f"{after} points in one collection",
                limit="vector_collection_max",
                maximum=points_max,
                actual=after,
            )
