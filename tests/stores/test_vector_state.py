"""A collection beside a dictionary: any program of changes, and replaying its records."""

from __future__ import annotations

import json
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventspine.actors.states.vectors import Collection
from eventspine.contracts.errors import (
    CollectionConflict,
    CollectionNotFound,
    InvalidVector,
    TooLarge,
)
from eventspine.contracts.journal import Decision
from eventspine.contracts.vectors import Metric, PointWrite, packed
from tests.inner import examples
from tests.stores.pieces import Pieces

IDS = st.text("abé/", min_size=1, max_size=2)
VECTORS = st.tuples(st.floats(-9, 9, width=32), st.floats(1, 9, width=32))
METADATA = st.sampled_from([b"{}", b'{"a":1}', b'{"a":"x","b":[1,null]}'])
NOW = "2026-01-01T00:00:00.000Z"
POINTS_MAX = 5


class CollectionAndDictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state = Collection()
        self.made: tuple[int, Metric] | None = None
        self.model: dict[str, tuple[tuple[float, ...], bytes, int]] = {}
        self.version = 0
        self.stored: list[bytes] = []
        self.pieces: Pieces | None = None

    def done(self, decision: Decision[Any]) -> Any:
        for record in decision.records:
            self.stored.append(msgspec.json.encode(record))
            self.taken(self.stored[-1], len(self.stored))
        if self.pieces is not None:
            self.pieces.since += decision.records
        return decision.answer

    def taken(self, line: bytes, sequence: int) -> None:
        self.state.apply(msgspec.json.decode(line, type=Collection.record), sequence)

    def write(self, *writes: PointWrite) -> Any:
        return self.done(self.state.write("c", writes, POINTS_MAX, NOW))

    @rule(metric=st.sampled_from(Metric))
    def create(self, metric: Metric) -> None:
        if self.made not in (None, (2, metric)):
            with pytest.raises(CollectionConflict):
                self.state.create("c", 2, metric, NOW)
            return
        info = self.done(self.state.create("c", 2, metric, NOW))
        self.version += self.made is None
        self.made = (2, metric)
        assert (info.dimensions, info.metric, info.count) == (2, metric, len(self.model))

    @rule()
    def drop(self) -> None:
        assert self.done(self.state.drop(NOW)) is (self.made is not None)
        self.version += self.made is not None
        self.made, self.model = None, {}

    @rule(id=IDS, vector=VECTORS, metadata=METADATA)
    def upsert(self, id: str, vector: tuple[float, float], metadata: bytes) -> None:
        one = PointWrite(id, packed(vector), metadata)
        if self.made is None:
            with pytest.raises(CollectionNotFound):
                self.write(one)
        elif id not in self.model and len(self.model) == POINTS_MAX:
            with pytest.raises(TooLarge):
                self.write(one)
        else:
            (point,) = self.write(one)
            self.version += 1
            self.model[id] = (vector, metadata, self.version)
            assert (point.id, point.values, point.version) == (id, vector, self.version)

    @rule(id=IDS)
    def delete(self, id: str) -> None:
        if self.made is not None:
            assert self.write(PointWrite(id, None)) == [None]
            self.version += self.model.pop(id, None) is not None

    @rule(ids=st.lists(IDS, min_size=1, max_size=3))
    def refused_batch(self, ids: list[str]) -> None:
        if self.made is not None:
            good = [PointWrite(id, packed((1, 1))) for id in ids]
            with pytest.raises(InvalidVector, match=f"vector {len(ids)} has 3 dimensions"):
                self.write(*good, PointWrite("z", packed((1, 2, 3))))

    @rule()
    def a_search_keeps_what_it_saw(self) -> None:
        if self.made is not None:
            seen = self.state.points("c", packed((1, 1)))
            before = sorted((one.id, one.version, one.values) for one in seen.all)
            assert before == sorted((id, n, values) for id, (values, _, n) in self.model.items())
            for id in list(self.model):
                self.delete(id)
            assert sorted((one.id, one.version, one.values) for one in seen.all) == before

    @rule(count=st.integers(0, 3))
    def copied(self, count: int) -> None:
        self.pieces = self.pieces or Pieces(self.state)
        self.pieces.copy(self.state, count)

    @rule()
    def written_anew_in_pieces(self) -> None:
        if self.pieces is not None:
            self.stored, self.pieces = self.pieces.lines(self.state), None
            self.replayed()

    @rule()
    def written_anew(self) -> None:
        records = list(self.state.snapshot())
        assert len(records) <= self.state.live + 1
        self.stored = [msgspec.json.encode(record) for record in records]
        self.replayed()

    @rule()
    def replayed(self) -> None:
        self.state = Collection()
        for sequence, line in enumerate(self.stored, 1):
            self.taken(line, sequence)

    @invariant()
    def they_stand_in_order_of_version(self) -> None:
        if self.made is None:
            return
        points = self.state.everything("c")
        versions = sorted(version for _, _, version in self.model.values())
        assert [one.version for one in points.all] == versions
        for middle in (0, 3, self.version):
            assert [one.version for one in points.up_to(middle)] == [
                version for version in versions if version <= middle
            ]
            assert [*points.up_to(middle), *points.behind(middle)] == points.all
        asked = range(self.version + 2, 0, -1)
        assert [one.version for one in points.of(asked)] == versions[::-1]

    @invariant()
    def they_agree(self) -> None:
        assert self.state.version == self.version
        if self.made is None:
            with pytest.raises(CollectionNotFound):
                self.state.info("c")
            return
        info = self.state.info("c")
        assert (info.dimensions, info.metric, info.count) == (*self.made, len(self.model))
        for id in ("a", "é", *self.model):
            point = self.state.get("c", id)
            found = None if point is None else (point.values, point.json, point.version)
            assert found == self.model.get(id)


TestCollectionAndDictionary = CollectionAndDictionary.TestCase
TestCollectionAndDictionary.settings = settings(max_examples=examples(50))


def test_a_line_says_what_anybody_can_read() -> None:
    state = Collection()
    made = state.create("c", 2, Metric.L2, NOW).records[0]
    state.apply(made, 1)  # type: ignore[arg-type]
    (record,) = state.write("c", [PointWrite("a", packed((1, -2)), b'{"n":1}')], 9, NOW).records
    line = json.loads(msgspec.json.encode(record))
    assert line.keys() == {"id", "version", "updated_at", "vector", "metadata"}
    assert line["metadata"] == {"n": 1}
    assert struct.unpack("<2f", __import__("base64").b64decode(line["vector"])) == (1, -2)


def test_a_full_collection_can_still_be_changed_and_emptied() -> None:
    state = Collection()
    for record in state.create("c", 1, Metric.L2, NOW).records:
        state.apply(record, 1)  # type: ignore[arg-type]
    three = [PointWrite(id, packed([1])) for id in "abc"]
    for record in state.write("c", three, 3, NOW).records:
        state.apply(record, 1)  # type: ignore[arg-type]
    state.write("c", three, 2, NOW)  # the limit was lowered meanwhile
    state.write("c", [PointWrite("a", None), PointWrite("d", packed([1]))], 3, NOW)
    with pytest.raises(TooLarge):
        state.write("c", [PointWrite("d", packed([1]))], 3, NOW)


@pytest.mark.parametrize(
    "wrong", [[float("nan")], [float("inf")], [-float("inf")], [1e16], [1e39], ["1"], [None], 7]
)
def test_what_float32_cannot_hold_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidVector):
        packed(wrong)
