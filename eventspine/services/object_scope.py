"""ObjectScope: what the objects of one scope and their uploads stand on."""

from __future__ import annotations

from dataclasses import dataclass

from eventspine.contracts.context import RequestContext
from eventspine.contracts.limits import Limits
from eventspine.services.journals import Journals
from eventspine.services.object_index import Index
from eventspine.services.object_shelf import Shelf
from eventspine.services.object_shelves import Shelves
from eventspine.services.upload_grants import SigningKey


@dataclass(frozen=True, slots=True)
class ObjectScope:
    context: RequestContext
    journals: Journals
    shelves: Shelves
    limits: Limits
    signing_key: SigningKey

    @property
    def index(self) -> Index:
        return self.shelves.index(self.context)

    async def shelf(self) -> Shelf:
        """With everything in its place. Raises what resolving raises."""
        return await self.shelves.of(self.context)
