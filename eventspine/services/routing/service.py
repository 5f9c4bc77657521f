"""The routing registry: which backend serves which scope. No route, no service.

Job: what may be done to the rows: create, update, delete, roll back, apply a file, switch, or try
any of it without doing it. All of it is compare-and-set on a revision and remembered for good. The
most specific row wins; see RouteKey.rows. Source: DESIGN decision 11; R-01 … R-04, R-08 … R-10;
Q10, Q15.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio

from eventspine.contracts.errors import RouteConflict
from eventspine.contracts.route import ResourceRoute, RouteKey, RouteSpec
from eventspine.contracts.route_change import RouteChange, RowChange, difference
from eventspine.contracts.route_file import RouteFile
from eventspine.contracts.system_routes import REGISTRY_KEY
from eventspine.services.routing.changing import RouteChanging, refuse_registry
from eventspine.services.routing.history import restored
from eventspine.services.routing.trial import Trial

Held = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


class RouteService(RouteChanging):
    """The registry of one root. Lookups are answered from memory; changes are durable first."""

    left_behind: Callable[[ResourceRoute], Awaitable[int]] | None = None

    # --- edits of files ---

    async def edit(self, file: RouteFile, by: str, *, follows: bool) -> bool:
        """Make the registry what an edited file says, in the turn that took it.

        Args:
            follows: whether it was made from the registry as it is.

        Returns:
            Whether that changed anything.

        Raises:
            RouteConflict: it was not, and differs.
        """
        rows = self._planned(file)
        if rows and not follows:
            raise RouteConflict(
                f"it is for revision {file.serial}, the registry is at {self.revision}",
                revision=self.revision,
            )
        return await self._change("edit", rows, by, None) is not None

    async def put_back(self, *, keep: bool) -> None:
        """Have the registry where it is stored again; with `keep`, set aside what is there."""
        with anyio.CancelScope(shield=True):
            await self._store.put_back(self._image, keep=keep)

    # --- changes ---

    async def create(self, spec: RouteSpec, by: str | None = None) -> ResourceRoute:
        """A new route. Raises RouteConflict when the key has one."""
        async with self.turn():
            self._expect_none(spec.key)
            await self._change("create", {spec.key: spec}, by, spec.reason)
            return self.get(spec.key)

    async def update(
        self, spec: RouteSpec, if_revision: int | None = None, by: str | None = None
    ) -> ResourceRoute:
        """Another backend or config for a key, if its route is still at `if_revision`."""
        async with self.turn():
            self._expect(self.get(spec.key), if_revision)
            await self._change("update", {spec.key: spec}, by, spec.reason)
            return self.get(spec.key)

    async def switch(self, spec: RouteSpec, if_revision: int, by: str | None, hold: Held) -> None:
        """The change that a switch makes. `hold` is handed what saves it, and swaps the owner."""
        async with self.turn():
            self._expect(self.get(spec.key), if_revision)
            change = self._change_of("switch", {spec.key: spec}, by, spec.reason)
            await self.audit.intended(change)
            try:
                await hold(partial(self._save, change))
            except Exception as error:
                await self.audit.ended(change, error)
                raise
            await self._tell_listeners(spec.key)
            await self.audit.ended(change)

    async def delete(
        self,
        key: RouteKey,
        if_revision: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Remove a route. What is stored behind it stays where it is."""
        async with self.turn():
            refuse_registry(key)
            self._expect(self.get(key), if_revision)
            await self._change("delete", {key: None}, by, reason)

    async def rollback(
        self,
        to: int,
        if_revision: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> RouteChange | None:
        """Every row as it was at revision `to`, under a new revision. None: nothing differs.

        Raises:
            RevisionGone: the history does not reach back to it.
            RouteConflict: the registry is not at `if_revision`.
        """
        async with self.turn():
            self._expect_registry(if_revision)
            rows = restored(await self._store.history(), self._by_key, to, self.revision)
            return await self._change("rollback", rows, by, reason or f"back to revision {to}")

    def plan(self, file: RouteFile) -> Sequence[RowChange]:
        """What `apply` would change, row by row. Raises what it would raise."""
        return [self._row(key, spec, None) for key, spec in self._planned(file).items()]

    async def apply(
        self, file: RouteFile, by: str | None = None, reason: str | None = None
    ) -> RouteChange | None:
        """Make the registry what the file says, in one revision. None: it is that already.

        Raises:
            RouteConflict: the registry has moved on from the serial of the file, or it has none.
        """
        async with self.turn():
            if file.serial is None:
                raise RouteConflict(
                    "the file names no serial: the revision it is meant for", revision=self.revision
                )
            self._expect_registry(file.serial)
            return await self._change("apply", self._planned(file), by, reason)

    async def dry_run(
        self, spec: RouteSpec, if_revision: int | None = None, *, create: bool
    ) -> Trial:
        """What `create` or `update` would do, the backend tried and nothing changed."""
        if create:
            self._expect_none(spec.key)
        else:
            self._expect(self.get(spec.key), if_revision)
        row = self._row(spec.key, spec, None)
        assert row.after is not None
        probe = await self._backends.probe(row.after)
        before, behind = row.before, None
        if before is not None and self.left_behind is not None and _leads_elsewhere(before, spec):
            behind = await self.left_behind(before)
        used = set[RouteKey]().union(*[scopes() for scopes in self._scopes])
        moves = sorted(key for key in used if self._moves(key, spec))
        return Trial(
            self.revision, "create" if create else "update", row.diff, probe, moves, behind
        )

    def _planned(self, file: RouteFile) -> dict[RouteKey, RouteSpec | None]:
        wanted = file.by_key()
        registry = wanted.get(REGISTRY_KEY)
        if registry is not None and self.own is not None and not difference(self.own, registry):
            del wanted[REGISTRY_KEY]  # as it is listed; it says nothing else
        rows: dict[RouteKey, RouteSpec | None] = {
            key: None for key in self._by_key if key not in wanted
        }
        for key, spec in wanted.items():
            self._check(spec)
            if difference(self.find(key), spec):
                rows[key] = spec
        return rows


def _leads_elsewhere(one: RouteSpec, other: RouteSpec) -> bool:
    return (one.backend, one.backend_type, one.config) != (
        other.backend,
        other.backend_type,
        other.config,
    )
