"""Shelf: the bytes of one scope's objects, kept in step with their index.

Job: a draft becomes an object, an object's bytes are found, deleted bytes go.
Rules, from which it follows that no crash and no order of calls mixes bytes and index up:
- Bytes are durable under a name of their own, the draft's, before the index names them; a file
  comes to its final name, `blobs/{segment of the key}`, only as what the index names right then.
- Who reads looks for the draft first: it is there until it was renamed.
- Looking at the index in order to open, rename or remove a key's file is done under the key's lock.
- A part of an upload is a draft, too, which the index names and nobody renames.
- What a crash left is put right when the scope is used first; until then it reads right all the
  same.
Refused: final names with a version in them. They need no lock, but `blobs/{key}` is what people and
their tools look for (PATH-02).
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

import anyio

from eventspine.contracts.blobs import BlobDraft, BlobReader, BlobStore
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import EventspineError, ObjectNotFound, StoreCorrupt
from eventspine.contracts.journal import Decision
from eventspine.contracts.objects import StoredObject, blob_name, draft_name
from eventspine.contracts.route import ResourceKind
from eventspine.services.journals import Journals
from eventspine.services.object_index import Index, Note

log = logging.getLogger(__name__)
A = TypeVar("A")
Place = tuple[BlobStore, str]
SHELVES_MAX = 10_000


class Writing:
    """A draft under way. `committing`: the index has been asked to name it."""

    def __init__(self, blob: str, draft: BlobDraft) -> None:
        self.blob = blob
        self.draft = draft
        self.committing = False


class Shelf:
    def __init__(self, store: BlobStore, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._locks: dict[str, tuple[anyio.Lock, list[None]]] = {}
        self._under_way: set[str] = set()
        self._tidy = False
        self._tidying = anyio.Lock()
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

    @asynccontextmanager
    async def drafted(self) -> AsyncIterator[Writing]:
        """A draft; after an error its bytes are removed, unless the index may name them."""
        blob = secrets.token_hex(16)
        self._under_way.add(blob)
        try:
            draft = await self._store.begin(self._folder, draft_name(blob))
            writing = Writing(blob, draft)
            try:
                yield writing
            except BaseException as error:
                await self._abandon(writing, error)
                raise
        finally:
            self._under_way.discard(blob)

    async def _abandon(self, writing: Writing, error: BaseException) -> None:
        with anyio.CancelScope(shield=True):
            await writing.draft.aclose()
            unknown = not isinstance(error, EventspineError) or error.outcome == "unknown"
            if writing.committing and unknown:
                self._tidy = False
                return
            try:
                await self._store.delete(self._folder, draft_name(writing.blob))
            except EventspineError:
                self._tidy = False

    async def settle(self, work: Awaitable[None]) -> None:
        """What is still to do with files after the index has changed: it holds without, too."""
        try:
            await work
        except EventspineError as error:
            log.warning("%s: %s; it is put right later", self._folder, error)
            self._tidy = False

    async def publish(self, index: Index, key: str, blob: str) -> None:
        """Give a draft the final name of its key, or remove it when it is superseded."""
        async with self._locked(key):
            current = await index.head(key)
            if current is not None and current.blob == blob:
                await self._store.publish(self._folder, draft_name(blob), blob_name(key))
            else:
                await self._store.delete(self._folder, draft_name(blob))

    async def remove(self, index: Index, key: str) -> None:
        """Remove the bytes of a key that was deleted, if it still is."""
        async with self._locked(key):
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

    @asynccontextmanager
    async def opened(
        self, index: Index, key: str
    ) -> AsyncIterator[tuple[StoredObject, BlobReader]]:
        """An object and its bytes as they are now, whatever happens to the key meanwhile.

        Raises:
            ObjectNotFound: there is none.
            StoreCorrupt: the bytes are not there, or not as many as they were.
        """
        async with self._locked(key):
            stored = await index.head(key)
            if stored is None:
                raise ObjectNotFound(f"no object {key[:100]!r}")
            reader = await self._store.open(self._folder, draft_name(stored.blob))
            if reader is None:
                reader = await self._store.open(self._folder, blob_name(key))
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

    async def ready(self, index: Index) -> None:
        """Put right what a crash left, once."""
        if not self._tidy:
            await self._make_tidy(index)

    async def _make_tidy(self, index: Index) -> None:
        async with self._tidying:
            if self._tidy:
                return
            self._tidy = True  # who finds that it is not so any more says so again
            try:
                await self._put_right(index)
            except BaseException:
                self._tidy = False
                raise

    async def _put_right(self, index: Index) -> None:
        before = set(self._under_way)
        names = await self._store.names(self._folder)
        busy = {draft_name(blob) for blob in before | self._under_way}
        found = [name for name in names if name not in busy]
        if not found:
            return
        todo = await index.ask(lambda objects: Decision((), objects.tidying(found)))
        for key, blob in todo.publish:
            await self.publish(index, key, blob)
        for blob in todo.drop:
            await self._store.delete(self._folder, draft_name(blob))
        for key in todo.remove:
            await self.remove(index, key)
        if any(todo):
            log.info("%s: put right: %s", self._folder, todo)

    @asynccontextmanager
    async def _locked(self, key: str) -> AsyncIterator[None]:
        lock, users = self._locks.setdefault(key, (anyio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                del self._locks[key]


class Shelves:
    """The shelves of all scopes in use."""

    def __init__(self, journals: Journals) -> None:
        self._journals = journals
        self._recent: dict[Place, Shelf] = {}
        self._known: WeakValueDictionary[Place, Shelf] = WeakValueDictionary()  # and those in use
        self.note: Note = lambda scope, oldest: None  # told how long an upload waits

    def index(self, context: RequestContext) -> Index:
        return Index(self._journals, context, self.note)

    async def of(self, context: RequestContext) -> Shelf:
        """The shelf of a scope, with everything in its place. Raises what resolving raises."""
        host, prefix = await self._journals.place(ResourceKind.OBJECT_STORE, context)
        host.open_store()  # an outage is said before any byte is taken
        assert host.blobs is not None, "bootstrap gives every backend a place for blobs"
        place = (host.blobs, f"{prefix}blobs")
        shelf = self._known.get(place)
        if shelf is None:
            if len(self._recent) >= SHELVES_MAX:
                self._recent.clear()
            shelf = self._known[place] = self._recent[place] = Shelf(*place)
        await shelf.ready(self.index(context))
        return shelf
