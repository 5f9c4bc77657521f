"""UploadExpiry: gives up multipart uploads that nothing comes to any more.

Job: every scope that was used and has open uploads is looked at when the one that waits longest
has waited for `upload_idle_s_max`: its owner writes down that such uploads have ended, then the
bytes of their parts go.
Rules: what a part is coming to, or what is being completed, is not given up. A crash between the
two leaves bytes that no index names; they go when the scope is used next. A scope is known from
its first use by this process on.
Source: KIND-09, DESIGN decision 10.
"""

from __future__ import annotations

import logging

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventspine.actors.states.object_uploads import Expired
from eventspine.contracts.context import RequestContext, Scope
from eventspine.contracts.entries import later
from eventspine.contracts.errors import EventspineError
from eventspine.contracts.limits import Limits
from eventspine.services.journals import Journals
from eventspine.services.object_index import Index
from eventspine.services.object_shelf import Shelf
from eventspine.services.object_shelves import Shelves

log = logging.getLogger(__name__)
SCOPES_MAX = 100_000
EXPIRE_MAX = 100  # uploads that one record of the log ends


class UploadExpiry:
    def __init__(self, journals: Journals, shelves: Shelves, limits: Limits) -> None:
        self._journals = journals
        self._shelves = shelves
        self._idle_s = limits.upload_idle_s_max
        self._pause_s = limits.upload_sweep_s
        self._oldest: dict[Scope, str] = {}
        self._noted = anyio.Event()
        shelves.note = self.note

    def note(self, scope: Scope, oldest: str | None) -> None:
        """The upload of this scope that waits longest does so since then; None: there is none."""
        before = self._oldest.get(scope)
        if oldest is None:
            self._oldest.pop(scope, None)
        elif before is None and len(self._oldest) >= SCOPES_MAX:
            return  # it is looked at once there is room, with its next use
        elif before != oldest:
            self._oldest[scope] = oldest
            self._noted.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """A service for the supervisor: gives up what is due, until cancelled."""
        task_status.started()
        while True:
            if not self._oldest:
                self._noted = anyio.Event()
                await self._noted.wait()
            await anyio.sleep(self._pause_s)
            due = later(self._journals.now(), -self._idle_s)
            for scope in [scope for scope, oldest in self._oldest.items() if oldest <= due]:
                try:
                    await self.sweep(scope)
                except EventspineError as error:
                    log.warning("uploads of %s: given up later: %s", scope.path, error)

    async def sweep(self, scope: Scope) -> int:
        """Give up what is due in a scope, and what a crash left of earlier ones.

        Answers how many parts went. Raises what deciding and resolving raise.
        """
        context, count = RequestContext(**scope._asdict()), 0
        shelf, index = await self._shelves.of(context), self._shelves.index(context)
        while True:
            decided = await self._expire(shelf, index)
            if not decided.ended:
                return count
            await shelf.settle(shelf.drop(decided.blobs))
            count += len(decided.blobs)

    async def _expire(self, shelf: Shelf, index: Index) -> Expired:
        now = self._journals.now()
        due = later(now, -self._idle_s)
        return await index.ask(
            lambda objects: objects.of_uploads(
                objects.uploads.expire(due, shelf.busy, EXPIRE_MAX), now
            )
        )
