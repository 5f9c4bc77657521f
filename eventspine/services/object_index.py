"""Index: what is stored in a scope under which key, as its requests ask it. Source: KIND-09."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from eventspine.actors.states.objects import Objects
from eventspine.contracts.context import RequestContext, Scope
from eventspine.contracts.journal import Decision
from eventspine.contracts.objects import StoredObject
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.stores import StreamCommit
from eventspine.services.journals import Journals

A = TypeVar("A")
Note = Callable[[Scope, str | None], None]
INDEX = "objects"


class Index:
    """The index of one scope. `note`: told since when its oldest upload waits, None: none does."""

    def __init__(self, journals: Journals, context: RequestContext, note: Note) -> None:
        self._journals = journals
        self._context = context
        self._note = note

    async def ask(
        self, decide: Callable[[Objects], Decision[A]], blob: StreamCommit | None = None
    ) -> A:
        """Decide on the index. `blob`: bytes that it names from now on: durable with it."""
        seen: list[Objects] = []

        def noted(objects: Objects) -> Decision[A]:
            seen[:] = [objects]
            return decide(objects)

        try:
            return await self._journals.ask(
                ResourceKind.OBJECT_STORE, INDEX, self._context, noted, blob
            )
        finally:
            for objects in seen:
                self._note(self._context.scope, objects.uploads.oldest)

    async def head(self, key: str) -> StoredObject | None:
        return await self.ask(lambda objects: Decision((), objects.head(key)))
