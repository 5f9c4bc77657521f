"""VectorIndexes: the side indexes of all collections in use, and the service that builds them.

Job: a collection with more than `vector_exact_max` points gets an approximate index: read from its
side file, `{kind}/{tenant}/{env}/{surface}/indexes/{collection}`, or built on a thread, batch by
batch; while it is not there, searches are exact. What is written later is looked at exactly until
there are `BEHIND_MAX` of it; then a copy of the index takes it over.
Rules:
- The journal is the truth. A side file that is missing, damaged, of another collection, or with too
  many holes is thrown away and built anew; one that is behind its collection catches up.
- One index is built at a time. Stopping waits for one batch at most; nothing is lost by it.
- An index that nobody used for `cell_idle_s_max` leaves memory; its file stays.
Source: KIND-08, docs/decisions/0016-vector-index.md.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventspine.actors.states.vector_points import Points
from eventspine.actors.states.vectors import Collection
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import (
    BackendError,
    CollectionNotFound,
    EventspineError,
    StoreCorrupt,
)
from eventspine.contracts.journal import Decision
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.threads import THREADS, Threads
from eventspine.contracts.vector_index import IndexState, IndexStatus
from eventspine.services.journals import Journals
from eventspine.services.vector_ann import AnnIndex, is_installed, loaded
from eventspine.services.vector_side_file import SideFile

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
log = logging.getLogger(__name__)
BATCH_BYTES = 1024 * 1024  # of vectors: about a second of a thread
FLOAT_BYTES = 4
BEHIND_MAX = 1_000  # points that are looked at exactly before the index takes them over
DEAD_SHARE_MAX = 0.1  # of the index, before what was deleted is taken out
SAVED_SHARE = 0.1  # it is written again when it has grown by so much
MISSING = 'pip install "eventspine[vector-ann]"; until then every search is exact'


class Side:
    """The index of one collection, as far as it is there."""

    def __init__(self, file: SideFile, context: RequestContext, name: str) -> None:
        self.file = file
        self.context = context
        self.name = name
        self.index: AnnIndex | None = None
        self.state = IndexState.NONE
        self.progress = 0.0
        self.detail = ""
        self.saved_at = 0
        self.used_at = 0.0
        self.was_read = False
        self.generation = 0  # how often it was thrown away

    def status(self, points: Points) -> IndexStatus:
        index = self.index
        if index is None:
            return IndexStatus(self.state, 0, len(points), self.progress, self.detail)
        held = points.count_up_to(index.at)
        return IndexStatus(self.state, held, len(points) - held, self.progress, self.detail)


class VectorIndexes:
    def __init__(self, journals: Journals, limits: Limits) -> None:
        self._journals = journals
        self._exact_max = limits.vector_exact_max
        self._idle_s = limits.cell_idle_s_max
        self.threads: Threads = THREADS
        self._sides: dict[SideFile, Side] = {}
        self._wanted: dict[SideFile, Side] = {}
        self._asked = anyio.Event()
        self.settled = anyio.Event()  # nothing is wanted any more

    async def of(self, context: RequestContext, name: str) -> Side:
        """The side of a collection. Raises what resolving its scope raises."""
        host, prefix = await self._journals.place(ResourceKind.VECTOR_STORE, context)
        assert host.blobs is not None, "bootstrap gives every backend a place for blobs"
        file = SideFile(host.blobs, f"{prefix}indexes", name)
        side = self._sides.get(file)
        if side is None:
            scope = RequestContext(**context.scope._asdict())
            side = self._sides[file] = Side(file, scope, name)
        side.used_at = anyio.current_time()
        return side

    def look(self, side: Side, points: Points) -> AnnIndex | None:
        """The index for a search in these points, if there is one and it is of them."""
        index = side.index
        is_due = len(points) > self._exact_max
        return index if is_due and index is not None and index.is_for(points.info) else None

    def note(self, side: Side, points: Points) -> None:
        """These points were searched, on the way `look` allowed: an index is made if one is due."""
        if len(points) <= self._exact_max:
            return
        index = self.look(side, points)
        if index is None:
            self.want(side)
            return
        held = points.count_up_to(index.at)
        if len(points) - held > BEHIND_MAX or len(index) - held > DEAD_SHARE_MAX * len(index):
            self.want(side)

    def written(self, side: Side, count: int) -> None:
        """The collection was written to, and has so many points now."""
        if count > self._exact_max and side.index is None:
            self.want(side)

    def want(self, side: Side) -> None:
        """Have this index brought up to its collection."""
        if side.state is not IndexState.UNAVAILABLE and side.file not in self._wanted:
            self._sides[side.file] = side
            self._wanted[side.file] = side
            self.settled = anyio.Event()
            self._asked.set()

    async def throw_away(self, side: Side) -> None:
        """Forget an index and delete its file; it is built anew when it is needed."""
        side.generation += 1
        side.index, side.was_read, side.saved_at = None, True, 0
        side.state, side.progress, side.detail = IndexState.NONE, 0.0, ""
        try:
            await side.file.delete()
        except BackendError as error:  # it does not fit the collection, which is seen when read
            log.warning("the index of %s is not needed and stays: %s", side.name, error)

    # --- the service ---

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """A service for the supervisor: builds what is wanted, until cancelled."""
        task_status.started()
        while True:
            if not self._wanted:
                self.settled.set()
                self._asked = anyio.Event()
                await self._wait()
            for file, side in [*self._wanted.items()]:
                try:
                    await self._bring_up(side)
                except EventspineError as error:
                    log.warning("index of %s: %s", side.name, error)
                    side.state, side.detail = IndexState.NONE, str(error)
                except (RuntimeError, ValueError, MemoryError) as error:  # of usearch
                    log.exception("index of %s", side.name)
                    side.state, side.detail = IndexState.UNAVAILABLE, repr(error)
                finally:
                    self._wanted.pop(file, None)

    async def _wait(self) -> None:
        """Until something is wanted; meanwhile, what nobody uses leaves memory."""
        while not self._asked.is_set():
            with anyio.move_on_after(self._idle_s if self._sides else None):
                await self._asked.wait()
                return
            await self.rest(anyio.current_time() - self._idle_s)

    async def rest(self, before: float) -> None:
        """Let go of the indexes that were used before then, and at no later time."""
        for file, side in [*self._sides.items()]:
            if side.used_at <= before and file not in self._wanted:
                try:
                    await self._save(side, 0.0)
                except BackendError as error:
                    log.warning("index of %s is not saved: %s", side.name, error)
                del self._sides[file]

    async def _bring_up(self, side: Side) -> None:
        try:
            points = await self._points(side)
        except CollectionNotFound:
            points = None
        if points is None or len(points) <= self._exact_max:
            await self.throw_away(side)
            return
        if not await self._run(is_installed):
            side.state, side.detail = IndexState.UNAVAILABLE, MISSING
            return
        generation = side.generation
        index = side.index
        if index is None and not side.was_read:
            index = await self._read(side, points)
        if index is not None and not await self._run(index.fits, points):
            index = None
        if side.generation == generation:
            side.index = index or side.index  # one that does not fit serves until there is another
            side.state = IndexState.BUILDING if index is None else IndexState.READY
        grown = await self._grown(side, index, points)
        if side.generation != generation:
            return
        side.index, side.state, side.progress = grown, IndexState.READY, 1.0
        await self._save(side, SAVED_SHARE)
        if side.generation != generation:  # thrown away while it was written
            await side.file.delete()

    async def _grown(self, side: Side, index: AnnIndex | None, points: Points) -> AnnIndex:
        """An index with all the points, made of this one or from nothing."""
        if index is None:
            grown = await self._run(AnnIndex, points.info)
        else:
            grown = await self._run(index.copy)
            await self._run(grown.drop_all_but, points)
        missing = await self._run(points.behind, grown.at)
        size = max(1, BATCH_BYTES // (FLOAT_BYTES * points.info.dimensions))
        for start in range(0, len(missing), size):
            side.progress = start / len(missing)
            await self._run(grown.add, missing[start : start + size])
        return grown

    async def _read(self, side: Side, points: Points) -> AnnIndex | None:
        side.was_read = True
        try:
            data = await side.file.read()
            if data is None:
                return None
            index = await self._run(loaded, points.info, data)
            if index.is_for(points.info) and not await self._run(index.agrees, points):
                raise StoreCorrupt("it is not of this collection", found="other vectors")
        except StoreCorrupt as error:
            log.warning("index of %s is built anew: %s", side.name, error)
            side.detail = f"built anew: {error}"
            await side.file.delete()
            return None
        side.saved_at = index.at
        return index

    async def _save(self, side: Side, share: float) -> None:
        """Write the side file, if the index has changed by more than a share of it."""
        index = side.index
        if index is None or side.saved_at == index.at:
            return
        behind = index.at - side.saved_at
        if side.saved_at and behind < share * len(index):
            return
        line, data = await self._run(index.dumped)
        await side.file.write(line, data)
        side.saved_at = index.at

    def _run(self, work: Callable[[*Ts], T], *args: *Ts) -> Awaitable[T]:
        return self.threads.run_sync(work, *args)

    async def _points(self, side: Side) -> Points:
        def everything(one: Collection) -> Decision[Points]:
            return Decision((), one.everything(side.name))

        return await self._journals.ask(
            ResourceKind.VECTOR_STORE, side.name, side.context, everything
        )
