"""Shelf: the bytes of one scope's objects, kept in step with their index.

Job: a draft becomes an object, an object's bytes are found, deleted bytes go.
Rules, from which it follows that no crash and no order of calls mixes bytes and index up:
- Bytes are durable under a name of their own, the draft's, before the index names them, or with
  the record by which it does; a file comes to its final name, `blobs/{segment of the key}`, only as
  what the index names right then.
- Who reads looks for the draft first: it is there until it was renamed. Small bytes at hand under
  the final name are taken as they are, since their sum says whether they are the right ones.
- A key's file is opened, renamed and removed under the key's lock, after a look at the index or at
  the version of the change (object_keys.py).
- A part of an upload is a draft, too, which the index names and nobody renames.
- What a crash or an outage left is put right when the scope is used first after it; until then it
  reads right all the same.
Refused: final names with a version in them. They need no lock, but `blobs/{key}` is what people and
their tools look for (PATH-02).
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from itertools import count

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint

from eventspine.contracts.blobs import BlobDraft, BlobReader, BlobStore
from eventspine.contracts.errors import EventspineError, ObjectNotFound, StoreCorrupt
from eventspine.contracts.journal import Decision
from eventspine.contracts.objects import DRAFT_SUFFIX, StoredObject, blob_name, draft_name
from eventspine.contracts.stores import EventStreamStore
from eventspine.services.object_index import Index
from eventspine.services.object_keys import KeyTurn, KeyTurns
from eventspine.services.object_sums import HASH_HERE_BYTES, sum_of
from eventspine.services.object_tidying import Tidying
from eventspine.services.object_writing import Writing

log = logging.getLogger(__name__)
NAMES_HERE = 10_000  # more are looked through on a thread


class Shelf:
    def __init__(self, store: BlobStore, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._keys = KeyTurns()
        self._mine, self._drafts = secrets.token_hex(8), count()
        self._under_way: set[str] = set()
        self._tidying = Tidying(self._put_right)
        self.busy: Counter[str] = Counter()  # uploads that something comes to right now

    @contextmanager
    def busy_with(self, upload_id: str) -> Iterator[None]:
        self.busy[upload_id] += 1
        try:
            yield
        finally:
            self.busy[upload_id] -= 1
            if not self.busy[upload_id]:
                del self.busy[upload_id]

    @property
    def logged_bytes_max(self) -> int:
        """How large bytes may be that are durable with the record which names them."""
        return self._store.logged_bytes_max

    def in_use(self, key: str) -> AbstractContextManager[KeyTurn]:
        """Around a change of a key, from before it is decided until its bytes have followed."""
        return self._keys.in_use(key)

    @contextmanager
    def logged(self, data: bytes, sha256: str) -> Iterator[Writing]:
        """At most `logged_bytes_max` bytes, for the commit that goes with their record."""
        writing = Writing(self._new_blob())
        writing.size, writing.sha256 = len(data), sha256
        writing.commit = self._store.commit_of(self._folder, draft_name(writing.blob), data)
        self._under_way.add(writing.blob)
        try:
            yield writing
        finally:
            self._under_way.discard(writing.blob)

    def _new_blob(self) -> str:
        """A name nobody has; what is random in it is drawn once, since that is a system call."""
        return f"{self._mine}{next(self._drafts):016x}"

    @asynccontextmanager
    async def drafted(self) -> AsyncIterator[tuple[Writing, BlobDraft]]:
        """A draft; after an error its bytes are removed, unless the index may name them."""
        writing = Writing(self._new_blob())
        self._under_way.add(writing.blob)
        try:
            draft = await self._store.begin(self._folder, draft_name(writing.blob))
            try:
                yield writing, draft
            except BaseException as error:
                await self._abandon(writing, draft, error)
                raise
        finally:
            self._under_way.discard(writing.blob)

    async def _abandon(self, writing: Writing, draft: BlobDraft, error: BaseException) -> None:
        with anyio.CancelScope(shield=True):
            await draft.aclose()
            unknown = not isinstance(error, EventspineError) or error.outcome == "unknown"
            if writing.committing and unknown:
                self._tidying.undo()
                return
            try:
                await self._store.delete(self._folder, draft_name(writing.blob))
            except EventspineError:
                self._tidying.undo()

    async def settle(self, work: Awaitable[None]) -> None:
        """What is still to do with files after the index has changed: it holds without, too."""
        try:
            await work
        except EventspineError as error:
            log.warning("%s: %s; it is put right later", self._folder, error)
            self._tidying.undo()

    async def publish(self, key: str, blob: str, version: int) -> None:
        """Give a draft the final name of its key, or remove it when it is superseded.

        It is, when a later version has come before it; both were in use since they were decided.
        """
        async with self._keys.locked(key) as turn:
            if version >= turn.version:
                turn.version = version
                await self._store.publish(self._folder, draft_name(blob), blob_name(key))
            else:
                await self._store.delete(self._folder, draft_name(blob))

    async def _put_in_place(self, index: Index, key: str, blob: str) -> None:
        """As `publish`, for a draft of which nobody knows the version."""
        async with self._keys.locked(key) as turn:
            current = await index.head(key)
            if current is not None and current.blob == blob:
                turn.version = max(turn.version, current.version)
                await self._store.publish(self._folder, draft_name(blob), blob_name(key))
            else:
                await self._store.delete(self._folder, draft_name(blob))

    async def remove(self, index: Index, key: str, version: int = 0) -> None:
        """Remove the bytes of a key that was deleted, if it still is."""
        async with self._keys.locked(key) as turn:
            turn.version = max(turn.version, version)
            if await index.head(key) is None:
                await self._store.delete(self._folder, blob_name(key))
                await index.ask(lambda objects: objects.removed(key))

    async def drop(self, blobs: Iterable[str]) -> None:
        """Delete parts that no upload has any more."""
        for blob in blobs:
            await self._store.delete(self._folder, draft_name(blob))

    @asynccontextmanager
    async def opened_part(self, blob: str) -> AsyncIterator[BlobReader | None]:
        """The bytes of a part, None if they are not there."""
        reader = await self._store.open(self._folder, draft_name(blob))
        try:
            yield reader
        finally:
            if reader is not None:
                with anyio.CancelScope(shield=True):
                    await reader.aclose()

    async def at_hand(self, index: Index, key: str) -> tuple[StoredObject, bytes] | None:
        """A small object and its bytes, checked, where nothing has to be waited for; else None.

        Without the key's lock: what is under the key's name may be older or newer than what the
        index named, and then its sum is another.

        Raises:
            ObjectNotFound: there is none.
        """
        await checkpoint()  # who reads thousands of them leaves the loop to others, too
        stored = await index.head(key)
        if stored is None:
            raise ObjectNotFound(f"no object {key[:100]!r}")
        if stored.size > HASH_HERE_BYTES:
            return None
        data = self._store.at_hand(self._folder, blob_name(key), stored.size)
        return None if data is None or sum_of(data) != stored.sha256 else (stored, data)

    @asynccontextmanager
    async def opened(
        self, index: Index, key: str
    ) -> AsyncIterator[tuple[StoredObject, BlobReader]]:
        """An object and its bytes as they are now, whatever happens to the key meanwhile.

        Raises:
            ObjectNotFound: there is none.
            StoreCorrupt: the bytes are not there, or not as many as they were.
        """
        async with self._keys.locked(key):
            stored = await index.head(key)
            if stored is None:
                raise ObjectNotFound(f"no object {key[:100]!r}")
            names = (draft_name(stored.blob), blob_name(key))
            reader = await self._store.open(self._folder, *names)
        if reader is None:
            raise self.corrupt(key, "its bytes are missing")
        try:
            if reader.size != stored.size:
                raise self.corrupt(key, f"{reader.size} bytes, {stored.size} were stored")
            yield stored, reader
        finally:
            with anyio.CancelScope(shield=True):
                await reader.aclose()

    def corrupt(self, key: str, found: str) -> StoreCorrupt:
        path = f"{self._folder}/{blob_name(key)}"
        return StoreCorrupt(f"object {key[:100]!r}: {found}", path=path, found=found)

    async def ready(self, index: Index, opened: EventStreamStore) -> None:
        """Put right what a crash left, and an outage: once each time the backend was opened."""
        await self._tidying.ready(index, opened)

    async def _put_right(self, index: Index) -> None:
        before = set(self._under_way)
        names = await self._store.names(self._folder)
        if not names:
            return
        if len(names) <= NAMES_HERE:
            drafts, there = _sorted_out(names)
        else:
            drafts, there = await anyio.to_thread.run_sync(_sorted_out, names)
        busy = {draft_name(blob) for blob in before | self._under_way}
        idle = [name for name in drafts if name not in busy]
        todo = await index.ask(lambda objects: Decision((), objects.tidying(idle, there)))
        for key, blob in todo.publish:
            await self._put_in_place(index, key, blob)
        for blob in todo.drop:
            await self._store.delete(self._folder, draft_name(blob))
        for key in todo.remove:
            await self.remove(index, key)
        if any(todo):
            log.info("%s: put right: %s", self._folder, todo)


def _sorted_out(names: list[str]) -> tuple[list[str], set[str]]:
    """The drafts among these names, and all of them."""
    return [name for name in names if name.endswith(DRAFT_SUFFIX)], set(names)
