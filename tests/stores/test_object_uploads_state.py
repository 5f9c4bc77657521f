"""Uploads in the index of objects beside dictionaries: any program, and replaying it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventspine.actors.states.object_uploads import UploadRecord
from eventspine.actors.states.objects import Objects
from eventspine.contracts.errors import InvalidParts, TooLarge, TooManyUploads, UploadNotFound
from eventspine.contracts.journal import Decision
from eventspine.contracts.object_uploads import ListedPart, Part, UploadRoom
from eventspine.contracts.objects import ALWAYS, Content, StoredObject, draft_name

KEYS = st.sampled_from(["a", "ab", "é:1"])
NUMBERS = st.sampled_from([1, 2, 3, 10_000])
PICKS = st.integers(0, 5)
ROOM = UploadRoom(uploads_max=4, bytes_max=50)


class UploadsAndDictionaries(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.objects = Objects()
        self.open: dict[str, tuple[str, str, dict[int, Part]]] = {}  # key, last active, parts
        self.made: dict[str, StoredObject] = {}
        self.stored: list[bytes] = []
        self.second = 0

    def now(self) -> str:
        self.second += 1
        minutes, seconds = divmod(self.second, 60)
        return f"2026-01-01T{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.000Z"

    def take(self, decision: Decision[Any]) -> Any:
        for record in decision.records:
            self.stored.append(msgspec.json.encode(record))
            self.objects.apply(msgspec.json.decode(self.stored[-1], type=Objects.record), 0)
        return decision.answer

    def pick(self, pick: int) -> tuple[str, str]:
        """An id that is open, or none; and its key."""
        ids = [*self.open, "nobody"]
        id = ids[pick % len(ids)]
        return id, self.open[id][0] if id in self.open else "a"

    @rule(key=KEYS)
    def begin(self, key: str) -> None:
        id, now = f"u{self.second}", self.now()
        begun = UploadRecord(id, key, "text/plain", msgspec.Raw(b"[1]"))

        def decide() -> Any:
            return self.objects.of_uploads(self.objects.uploads.begin(begun, ROOM, now), now)

        if len(self.open) == ROOM.uploads_max:
            with pytest.raises(TooManyUploads):
                decide()
            return
        upload = self.take(decide())
        assert (upload.upload_id, upload.key, upload.metadata) == (id, key, [1])
        self.open[id] = (key, now, {})

    @rule(pick=PICKS, number=NUMBERS, size=st.integers(0, 30))
    def put_part(self, pick: int, number: int, size: int) -> None:
        (id, key), now = self.pick(pick), self.now()
        part = Part(number, size, f"{self.second:064x}", now, f"b{self.second}")

        def decide() -> Any:
            decision = self.objects.uploads.put_part(key, id, part, ROOM)
            return self.objects.of_uploads(decision, now)

        if id not in self.open:
            with pytest.raises(UploadNotFound):
                decide()
            return
        parts = self.open[id][2]
        if sum(one.size for n, one in parts.items() if n != number) + size > ROOM.bytes_max:
            with pytest.raises(TooLarge):
                decide()
            return
        assert self.take(decide()) == parts.get(number)
        parts[number] = part
        self.open[id] = (key, now, parts)

    @rule(pick=PICKS, of=st.sets(NUMBERS, min_size=1))
    def complete(self, pick: int, of: set[int]) -> None:
        (id, key), now, uploads = self.pick(pick), self.now(), self.objects.uploads
        parts = self.open[id][2] if id in self.open else {}
        listed = [ListedPart(n, parts[n].sha256.upper() if n in parts else "0") for n in sorted(of)]
        if id not in self.open or not of <= set(parts):
            with pytest.raises((UploadNotFound, InvalidParts)):
                uploads.chosen(key, id, listed)
            return
        chosen = uploads.chosen(key, id, listed)
        content = Content(1, "0" * 64, "text/plain", f"j{self.second}", b"[1]", id)
        changed = [chosen[0]._replace(sha256="1"), *chosen[1:]]
        with pytest.raises(InvalidParts):
            self.objects.complete(key, changed, content, ALWAYS, now)
        decision = self.objects.complete(key, chosen, content, ALWAYS, now)
        assert len(decision.records) == 1, "object and upload change together"
        self.made[key] = self.take(decision)
        del self.open[id]

    @rule(pick=PICKS)
    def abort(self, pick: int) -> None:
        (id, key), now = self.pick(pick), self.now()
        if id not in self.open:
            with pytest.raises(UploadNotFound):
                self.objects.uploads.abort(key, id)
            return
        with pytest.raises(UploadNotFound):
            self.objects.uploads.abort("another key", id)
        blobs = self.take(self.objects.of_uploads(self.objects.uploads.abort(key, id), now))
        assert sorted(blobs) == sorted(part.blob for part in self.open.pop(id)[2].values())

    @rule(ago=st.integers(0, 5), busy=PICKS, limit=st.integers(1, 3))
    def expire(self, ago: int, busy: int, limit: int) -> None:
        now, (id, _) = self.now(), self.pick(busy)
        times = sorted(at for _, at, _ in self.open.values())
        before = times[min(ago, len(times) - 1)] if times else now
        decision = self.objects.uploads.expire(before, {id}, limit)
        due = [one for one, (_, at, _) in self.open.items() if at <= before and one != id]
        ended = self.take(self.objects.of_uploads(decision, now))
        assert ended.ended == min(limit, len(due))
        gone = [one for one in due if one not in {u.upload_id for u in self.pages()}]
        assert len(gone) == ended.ended
        blobs = [part.blob for one in gone for part in self.open.pop(one)[2].values()]
        assert sorted(ended.blobs) == sorted(blobs)

    @rule()
    def written_anew(self) -> None:
        records = list(self.objects.snapshot())
        assert len(records) <= self.objects.live + 1
        self.stored = [msgspec.json.encode(record) for record in records]
        self.replayed()

    @rule()
    def replayed(self) -> None:
        self.objects = Objects()
        for line in self.stored:
            self.objects.apply(msgspec.json.decode(line, type=Objects.record), 0)

    def pages(self) -> list[Any]:
        found, after = [], None
        while True:
            page = self.objects.uploads.page("", after, 2)
            found += page.uploads
            after = page.next
            if after is None:
                return found

    @invariant()
    def they_agree(self) -> None:
        found = self.pages()
        assert [(one.key, one.upload_id) for one in found] == sorted(
            (key, id) for id, (key, _, _) in self.open.items()
        )
        for one in found:
            _, at, parts = self.open[one.upload_id]
            assert (one.active_at, one.parts) == (at, len(parts))
            assert one.size == sum(part.size for part in parts.values())
            page = self.objects.uploads.parts(one.key, one.upload_id, 0, 99)
            assert page.parts == [parts[number] for number in sorted(parts)]
        times = [at for _, at, _ in self.open.values()]
        assert self.objects.uploads.oldest == min(times, default=None)

    @invariant()
    def an_object_and_nobody_s_blobs_are_told_apart(self) -> None:
        blobs = [part.blob for _, _, parts in self.open.values() for part in parts.values()]
        drafts = [draft_name(blob) for blob in [*blobs, "nobody's"]]
        todo = self.objects.tidying(drafts, set(drafts))
        assert todo.drop == ["nobody's"]
        for key in ("a", "ab", "é:1"):
            assert self.objects.head(key) == self.made.get(key)

    @precondition(lambda self: self.made)
    @rule()
    def describing_keeps_the_upload(self) -> None:
        key = min(self.made)
        stored = self.take(self.objects.describe(key, b"{}", self.now()))
        assert stored.upload == self.made[key].upload
        self.made[key] = stored


TestUploadsAndDictionaries = UploadsAndDictionaries.TestCase
