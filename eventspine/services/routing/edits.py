"""RouteEdits: routes that people change in files, taken while the process runs.

    routing_registry_store/routes.json   the registry's own file
    routes.toml, or .json                the file of routes that `routing.file` names, for all of
                                         them, as for plan and apply

Rules:
- An edit is a change like any other: checked, durable, in the history (action `edit`, `by` the
  name of the file), opened by the owners of its rows. It is compared and set: the revision or
  serial that it states must be the registry's, or it is not taken.
- Edits are looked for when the files were touched, and in the turn of every other change before it,
  so that an edit and a change of the API follow each other and neither is lost.
- A file that cannot be read, or is not valid, changes nothing: the last good rows serve, and
  `files` says why, for /readyz, explain, the metrics and the log, until it is mended. While that
  is the registry's own file nothing else may change it, since that would overwrite the edit.
- An edit of the registry's own file that was made from another revision, or that changes a row
  under a switch, is kept beside it, and what the registry has is put back, at once.
- The serial of the file of routes may stay what it was as long as nobody else changes the registry.
  What was refused for its serial is not taken later, when the registry happens to get there.
Source: DESIGN decision 11.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Protocol

import anyio

from eventspine.contracts.errors import (
    BackendError,
    EventspineError,
    OwnerError,
    RegistryEditBroken,
    RouteConflict,
)
from eventspine.contracts.registry import RegistryStore
from eventspine.contracts.route_file import RouteFile
from eventspine.services.routing.service import RouteService

log = logging.getLogger(__name__)
REGISTRY_FILE = "routing_registry_store/routes.json"
SET_ASIDE = "edits that were set aside"
RETRY_S = 5.0


class EditedFile(Protocol):
    """The file of routes that the settings name."""

    @property
    def name(self) -> str: ...
    async def read(self) -> RouteFile:
        """What it says. Raises InvalidRoute; StoreUnavailable."""


class Touches(Protocol):
    """Who tells that files were touched."""

    async def next(self) -> None:
        """Until one was, since the last call."""


class RouteEdits:
    """`file`: the file of routes to follow, if any."""

    def __init__(
        self, routes: RouteService, store: RegistryStore, file: EditedFile | None = None
    ) -> None:
        self._routes = routes
        self._store = store
        self._file = file
        self._looked = anyio.Event()
        self._conflicting: RouteFile | None = None
        self._try_again = False
        routes.preceded_by(self.take)

    async def run(self, touches: Touches) -> None:
        """Look when a file is touched, and again after what may pass by itself; until cancelled."""
        await self.look()  # for what was written before anybody told
        while True:
            with anyio.move_on_after(RETRY_S if self._try_again else math.inf):
                await touches.next()
            await self.look()

    async def look(self) -> None:
        """Take what was edited. What cannot be taken is said, not raised."""
        self._try_again = False
        try:
            async with self._routes.turn():
                pass
        except RegistryEditBroken:
            pass  # said already
        except EventspineError as error:
            log.warning("edits of routes: %s", error)
        looked, self._looked = self._looked, anyio.Event()
        looked.set()

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Until `condition` holds after a look; it is asked first."""
        while not condition():
            await self._looked.wait()

    async def take(self) -> None:
        """Take what was edited, in the turn of a change.

        Raises:
            RegistryEditBroken: the registry's own file has an edit that cannot be taken.
        """
        await self._take_own()
        if self._file is not None:
            await self._take_file(self._file)

    async def _take_own(self) -> None:
        try:
            edited = await self._store.edited()
            if edited is not None:
                await self._take(edited)
        except EventspineError as error:
            self._refuse(REGISTRY_FILE, error)
            raise RegistryEditBroken(f"{REGISTRY_FILE}: {error}", file=REGISTRY_FILE) from None
        self._accept(REGISTRY_FILE)
        kept = await self._store.set_aside_names()
        if kept:
            self._say(SET_ASIDE, f"{', '.join(kept)}; merge them into the registry, then delete")
        else:
            self._accept(SET_ASIDE)

    async def _take(self, edited: RouteFile) -> None:
        follows = edited.serial == self._routes.revision
        try:
            changed = await self._routes.edit(edited, REGISTRY_FILE, follows=follows)
        except RouteConflict as error:
            log.warning("%s: an edit is set aside: %s", REGISTRY_FILE, error)
            await self._routes.put_back(keep=True)
        else:
            if not changed and not follows:  # the rows are right, and the revision is not
                await self._routes.put_back(keep=False)

    async def _take_file(self, file: EditedFile) -> None:
        wanted: RouteFile | None = None
        try:
            wanted = await file.read()
            await self._routes.edit(wanted, file.name, follows=self._follows(wanted, file.name))
        except EventspineError as error:
            if wanted is not None and isinstance(error, RouteConflict):
                self._conflicting = wanted
            self._refuse(file.name, error)
        else:
            self._accept(file.name)

    def _follows(self, wanted: RouteFile, name: str) -> bool:
        """Whether nobody has changed the registry since the file was made, or last taken."""
        if wanted.serial is None or wanted == self._conflicting:
            return False
        newest = self._routes.history.newest
        own = newest is not None and (newest.action, newest.by) == ("edit", name)
        return wanted.serial == self._routes.revision or own

    def _refuse(self, name: str, error: EventspineError) -> None:
        self._try_again |= isinstance(error, BackendError | OwnerError)
        self._say(name, f"not taken: {error}")

    def _say(self, name: str, what: str) -> None:
        if self._routes.files.get(name) != what:
            self._routes.files[name] = what
            log.warning("%s: %s", name, what)

    def _accept(self, name: str) -> None:
        if self._routes.files.pop(name, None) is not None:
            log.warning("%s: in order again", name)
