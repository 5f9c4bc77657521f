"""Shelves: the way from a scope to the bytes of its objects. Source: KIND-09."""

from __future__ import annotations

from weakref import WeakValueDictionary

from eventspine.contracts.blobs import BlobStore
from eventspine.contracts.context import RequestContext
from eventspine.contracts.route import ResourceKind
from eventspine.services.journals import Journals
from eventspine.services.object_index import Index, Note
from eventspine.services.object_shelf import Shelf

Place = tuple[BlobStore, str]
SHELVES_MAX = 10_000


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
        opened = host.open_store()  # an outage is said before any byte is taken
        assert host.blobs is not None, "bootstrap gives every backend a place for blobs"
        place = (host.blobs, f"{prefix}blobs")
        shelf = self._known.get(place)
        if shelf is None:
            if len(self._recent) >= SHELVES_MAX:
                self._recent.clear()
            shelf = self._known[place] = self._recent[place] = Shelf(*place)
        await shelf.ready(self.index(context), opened)
        return shelf
