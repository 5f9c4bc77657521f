"""MemoryStoreService: session memory, entries by key that live for a while. Source: KIND-06.

    memory = spine.memory(context)                       # namespace "session"
    await memory.set("u1", {"cart": []}, ttl_s=1800, sliding=True)
    await memory.get("u1")                               # {"cart": []}, for 1800 s more
    await memory.incr("visits")                          # 1
    await memory.ttl("u1")                               # 1799.9

A namespace comes into being with its first entry. Answers tell what is on disk, and nothing that
is not. What expires is told as an event `memory.expired` (memory_expiry.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from eventspine.actors.states.memory import INTEGER_MAX, Memory
from eventspine.actors.states.memory_record import MemoryRecord
from eventspine.contracts.context import RequestContext
from eventspine.contracts.entries import (
    Entry,
    EntryPage,
    Expired,
    Room,
    checked_ttl,
    seconds_between,
)
from eventspine.contracts.errors import EntryNotFound, InvalidRequest
from eventspine.contracts.ids import checked_id
from eventspine.contracts.journal import Decision
from eventspine.contracts.limits import Limits
from eventspine.services.audit_mutations import mutation
from eventspine.services.journals import Journals
from eventspine.services.memory_expiry import MemoryExpiry, stream_of
from eventspine.services.memory_tenants import MemoryTenants
from eventspine.services.tabular import encoded

A = TypeVar("A")
DEFAULT_NAMESPACE = "session"


class MemoryStoreService:
    """One namespace of one scope. Made by `Spine.memory(context, namespace)`."""

    def __init__(
        self,
        context: RequestContext,
        namespace: str,
        journals: Journals,
        tenants: MemoryTenants,
        expiry: MemoryExpiry,
        limits: Limits,
    ) -> None:
        checked_id(namespace, "namespace")
        stream_of(namespace)
        self._context = context
        self._namespace = namespace
        self._journals = journals
        self._tenants = tenants
        self._expiry = expiry
        self._limits = limits

    # --- one entry ---

    async def set(
        self,
        key: str,
        value: Any,
        ttl_s: float | None = None,
        *,
        if_version: int | None = None,
        sliding: bool = False,
    ) -> Entry:
        """Set a value, whatever was there; answers the entry as stored.

        Args:
            value: anything that is JSON.
            ttl_s: it lives for so many seconds; None: it stays, also if it had an end before.
            if_version: only if the entry is at this version; 0: only if there is none.
            sliding: every `get` lets it live for `ttl_s` from then on.

        Raises:
            PreconditionFailed: it is at another version, which `current` names.
            MemoryFull: the namespace, or the tenant, has no room for it.
        """
        if sliding and ttl_s is None:
            raise InvalidRequest("a sliding entry needs ttl_s", parameter="ttl_s")
        slide_s = ttl_s if sliding else None
        return await self.set_json(
            key, encoded(value), ttl_s, if_version=if_version, slide_s=slide_s
        )

    @mutation("memory_store", "memory.set", "key")
    async def set_json(
        self,
        key: str,
        json: bytes,
        ttl_s: float | None = None,
        *,
        if_version: int | None = None,
        slide_s: float | None = None,
    ) -> Entry:
        """`set` of a value that is JSON text already and known to be well formed.

        Args:
            slide_s: every `get` lets it live for so long from then, if that is longer than it has
                left; without `ttl_s` this is its time to live at first, too.
        """
        _check_version(if_version)
        _check_ttl(ttl_s)
        _check_ttl(slide_s)
        now = self._now(key)
        return await self._grow(
            lambda memory, room: memory.set(
                key, json, now, room, ttl_s=ttl_s, slide_s=slide_s, if_version=if_version
            )
        )

    async def get(self, key: str) -> Any:
        """The value of an entry, or None if it is not there. A sliding entry lives on from now."""
        entry = await self.get_entry(key)
        return None if entry is None else entry.value

    async def get_entry(self, key: str) -> Entry | None:
        """An entry with its version and times, or None. A sliding entry lives on from now."""
        now = self._now(key)
        return await self._ask(lambda memory: memory.get(key, now))

    async def ttl(self, key: str) -> float | None:
        """Seconds that an entry has left, None: it stays. Does not move its expiry.

        Raises:
            EntryNotFound: it is not there.
        """
        now = self._now(key)
        entry = await self._ask(lambda memory: Decision((), memory.peek(key, now)))
        if entry is None:
            raise EntryNotFound(f"no entry {key[:100]!r}")
        return None if entry.expires_at is None else seconds_between(now, entry.expires_at)

    @mutation("memory_store", "memory.touch", "key", "ttl_s")
    async def touch(self, key: str, ttl_s: float | None) -> Entry:
        """Let an entry live for `ttl_s` from now; None: it stays. Its version is the same.

        Raises:
            EntryNotFound: it is not there.
        """
        _check_ttl(ttl_s)
        now = self._now(key)
        return await self._ask(lambda memory: memory.touch(key, ttl_s, now))

    @mutation("memory_store", "memory.delete", "key")
    async def delete(self, key: str, *, if_version: int | None = None) -> bool:
        """Delete an entry. Answers whether there was one."""
        _check_version(if_version)
        now = self._now(key)
        return await self._ask(lambda memory: memory.delete(key, now, if_version))

    async def incr(self, key: str, by: int = 1, *, ttl_s: float | None = None) -> int:
        """Add to an integer and answer the sum. It begins at 0, and is exact to 64 bits.

        Args:
            ttl_s: how long the entry lives if this begins it; one that is there keeps its end.

        Raises:
            NotAnInteger: the value is no integer, or the sum has more than 64 bits.
        """
        value: int = (await self.incr_entry(key, by, ttl_s=ttl_s)).value
        return value

    @mutation("memory_store", "memory.incr", "key", "by")
    async def incr_entry(self, key: str, by: int = 1, *, ttl_s: float | None = None) -> Entry:
        """`incr` that answers the entry."""
        if type(by) is not int or abs(by) > INTEGER_MAX:  # a float would be cut
            raise InvalidRequest("by must be an integer of 64 bits", parameter="by")
        _check_ttl(ttl_s)
        now = self._now(key)
        return await self._grow(lambda memory, room: memory.incr(key, by, now, room, ttl_s))

    # --- many ---

    async def scan(
        self, prefix: str = "", after: str | None = None, limit: int | None = None
    ) -> EntryPage:
        """A page of entries in key order; `next` is the `after` of the page behind it.

        Args:
            limit: at most so many entries; lowered to the operator's maximum.
        """
        limits = self._limits
        limit = limits.page_events_max if limit is None else min(limit, limits.page_events_max)
        if limit < 1:
            raise InvalidRequest("limit must be at least 1", parameter="limit")
        now, bytes_max = self._journals.now(), limits.page_bytes_max
        return await self._ask(
            lambda memory: Decision((), memory.page(prefix, after, limit, bytes_max, now))
        )

    async def sweep(self) -> list[Expired]:
        """Write down and announce what has expired; answers what this very call wrote down.

        It is done by itself too, once in `memory_sweep_s`.
        """
        return await self._expiry.sweep(self._context.scope, self._namespace)

    # --- how ---

    def _now(self, key: str) -> str:
        checked_id(key, "key")
        return self._journals.now()

    async def _ask(self, decide: Callable[[Memory], Decision[A]]) -> A:
        def noted(memory: Memory) -> Decision[A]:
            return self._noted(memory, decide(memory))

        return await self._tenants.ask(self._namespace, self._context, noted)

    async def _grow(self, decide: Callable[[Memory, Room], Decision[A]]) -> A:
        def noted(memory: Memory, room: Room) -> Decision[A]:
            return self._noted(memory, decide(memory, room))

        return await self._tenants.grow(self._namespace, self._context, noted)

    def _noted(self, memory: Memory, decision: Decision[A]) -> Decision[A]:
        """The decision; whoever sweeps knows what ends."""
        self._expiry.note(self._context.scope, self._namespace, memory.due)
        for record in decision.records:
            if isinstance(record, MemoryRecord):
                self._expiry.note(self._context.scope, self._namespace, record.expires_at)
        return decision


def _check_version(if_version: int | None) -> None:
    if if_version is not None and if_version < 0:
        raise InvalidRequest("if_version must be at least 0", parameter="if_version")


def _check_ttl(ttl_s: float | None) -> None:
    if ttl_s is not None:
        checked_ttl(ttl_s)
