"""The index of objects beside a dictionary: any program of operations, and replaying it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventspine.actors.states.objects import Objects
from eventspine.contracts.errors import ObjectNotFound, PreconditionFailed
from eventspine.contracts.journal import Decision
from eventspine.contracts.objects import (
    ALWAYS,
    Condition,
    Content,
    StoredObject,
    blob_name,
    draft_name,
)

KEYS = st.text("abé/", min_size=1, max_size=3)
NOW = "2026-01-01T00:00:00.000Z"


class ObjectsAndDictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.objects = Objects()
        self.model: dict[str, StoredObject] = {}
        self.etags: set[str] = set()
        self.gone: set[str] = set()
        self.count = 0
        self.stored: list[bytes] = []

    def take(self, decision: Decision[Any]) -> None:
        for record in decision.records:
            line = msgspec.json.encode(record)
            self.stored.append(line)
            self.objects.apply(msgspec.json.decode(line, type=Objects.record), len(self.stored))

    def put(self, key: str, condition: Condition = ALWAYS) -> None:
        self.count += 1
        content = Content(self.count, f"{self.count:064x}", "text/plain", f"b{self.count}")
        decision = self.objects.put(key, content, condition, NOW)
        self.take(decision)
        self.model[key] = decision.answer
        self.gone.discard(key)
        assert decision.answer.etag not in self.etags, "an etag is never used twice"
        self.etags.add(decision.answer.etag)

    @rule(key=KEYS)
    def put_always(self, key: str) -> None:
        self.put(key)

    @rule(key=KEYS, version=st.integers(1, 9))
    def put_in_place_of(self, key: str, version: int) -> None:
        current = self.model.get(key)
        etag = "x" if current is None or version != current.version else current.etag
        if current is not None and etag == current.etag:
            self.put(key, Condition(etag))
        else:
            with pytest.raises(PreconditionFailed):
                self.put(key, Condition(etag))

    @rule(key=KEYS)
    def put_if_absent(self, key: str) -> None:
        if key in self.model:
            with pytest.raises(PreconditionFailed):
                self.put(key, Condition(if_absent=True))
        else:
            self.put(key, Condition(if_absent=True))

    @rule(key=KEYS)
    def describe(self, key: str) -> None:
        if key not in self.model:
            with pytest.raises(ObjectNotFound):
                self.objects.describe(key, b"{}", NOW)
            return
        decision = self.objects.describe(key, b'{"a":1}', NOW)
        self.take(decision)
        assert decision.answer.blob == self.model[key].blob
        self.model[key] = decision.answer

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        decision = self.objects.delete(key, ALWAYS, NOW)
        self.take(decision)
        assert decision.answer is (self.model.pop(key, None) is not None)
        if decision.answer:
            self.gone.add(key)

    @rule(key=KEYS)
    def bytes_are_gone(self, key: str) -> None:
        if key in self.gone:  # after a restart it is looked at again, which does no harm
            self.objects.removed(key)
            self.gone.discard(key)

    @rule()
    def written_anew(self) -> None:
        version = self.objects.version
        records = list(self.objects.snapshot())
        assert len(records) <= self.objects.live + 1
        self.stored = [msgspec.json.encode(record) for record in records]
        self.replayed()
        assert self.objects.version == version

    @rule()
    def replayed(self) -> None:
        self.objects = Objects()
        for n, line in enumerate(self.stored, 1):
            self.objects.apply(msgspec.json.decode(line, type=Objects.record), n)

    @invariant()
    def they_agree(self) -> None:
        for key in ("a", "b", "é", *self.model):
            assert self.objects.head(key) == self.model.get(key)

    @invariant()
    def what_a_crash_left_is_told_apart(self) -> None:
        names = [blob_name(key) for key in {*self.model, *self.gone}]
        drafts = [draft_name(one.blob) for one in self.model.values()] + [draft_name("nobody's")]
        todo = self.objects.tidying(drafts, {*names, *drafts})
        assert dict(todo.publish) == {key: one.blob for key, one in self.model.items()}
        assert todo.drop == ["nobody's"]
        assert set(todo.remove) == self.gone

    @rule(prefix=st.text("abé/", max_size=2), limit=st.integers(1, 4))
    def pages(self, prefix: str, limit: int) -> None:
        found: list[str] = []
        after: str | None = None
        while True:
            page = self.objects.page(prefix, after, limit)
            assert len(page.objects) <= limit
            found += [one.key for one in page.objects]
            after = page.next
            if after is None:
                break
        assert found == sorted(key for key in self.model if key.startswith(prefix))


TestObjectsAndDictionary = ObjectsAndDictionary.TestCase
