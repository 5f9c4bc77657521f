"""A namespace of a server's session memory. The same operations as MemoryStoreService."""

from __future__ import annotations

from typing import Any

import msgspec

from eventspine.client.stores.asking import JSON, AskStore, address, decoded, encoded, if_version
from eventspine.contracts.entries import Entry, EntryPage
from eventspine.contracts.errors import EntryNotFound


class _Entry(msgspec.Struct):
    key: str
    value: msgspec.Raw
    version: int
    updated_at: str
    expires_at: str | None = None
    slide_s: float | None = None

    @property
    def entry(self) -> Entry:
        return Entry(
            self.key,
            bytes(self.value),
            self.version,
            self.updated_at,
            self.expires_at,
            self.slide_s,
        )


class _Page(msgspec.Struct):
    entries: list[_Entry]
    next: str | None


class _Ttl(msgspec.Struct):
    ttl_s: float | None


class ClientMemory:
    """Made by `EventspineClient.memory(namespace)`."""

    def __init__(self, ask: AskStore, namespace: str) -> None:
        self._ask = ask
        self._namespace = namespace

    async def set(
        self,
        key: str,
        value: Any,
        ttl_s: float | None = None,
        *,
        if_version: int | None = None,
        sliding: bool = False,
    ) -> Entry:
        """Set a value, whatever was there. `sliding`: every `get` lets it live for `ttl_s` more.

        Raises:
            PreconditionFailed: with `if_version`, it is at another version.
            MemoryFull: there is no room for it.
        """
        response = await self._ask(
            "PUT",
            self._path(key),
            params={"ttl_s": ttl_s, "slide_s": ttl_s if sliding else None},
            content=encoded(value),
            headers=[JSON, *_condition(if_version)],
            is_repeatable=if_version is None,
        )
        return decoded(response, _Entry).entry

    async def get_entry(self, key: str) -> Entry | None:
        """An entry with its version and times, or None. A sliding one lives on from now."""
        try:
            return decoded(await self._ask("GET", self._path(key)), _Entry).entry
        except EntryNotFound:
            return None

    async def get(self, key: str) -> Any:
        """The value of an entry, or None if it is not there."""
        entry = await self.get_entry(key)
        return None if entry is None else entry.value

    async def ttl(self, key: str) -> float | None:
        """Seconds an entry has left; None: it stays. Raises EntryNotFound."""
        return decoded(await self._ask("GET", self._path(key, "ttl")), _Ttl).ttl_s

    async def touch(self, key: str, ttl_s: float | None) -> Entry:
        """Let an entry live for `ttl_s` from now, or for ever. Raises EntryNotFound."""
        response = await self._ask("POST", self._path(key, "touch"), params={"ttl_s": ttl_s})
        return decoded(response, _Entry).entry

    async def incr(self, key: str, by: int = 1, *, ttl_s: float | None = None) -> int:
        """Add to an integer, which is 0 where there is none. Never sent twice once it may have run.

        Raises:
            NotAnInteger: the value is none.
            ServerUnreachable, OutcomeUnknown: it may have been added or not.
        """
        response = await self._ask(
            "POST",
            self._path(key, "incr"),
            params={"by": by, "ttl_s": ttl_s},
            is_repeatable=False,
        )
        value: int = decoded(response, _Entry).entry.value
        return value

    async def delete(self, key: str, *, if_version: int | None = None) -> bool:
        """Delete an entry. Answers whether there was one, as far as the last try can tell."""
        try:
            await self._ask(
                "DELETE",
                self._path(key),
                headers=_condition(if_version),
                is_repeatable=if_version is None,
            )
        except EntryNotFound:
            return False
        return True

    async def scan(
        self, prefix: str = "", after: str | None = None, limit: int | None = None
    ) -> EntryPage:
        """A page of entries in key order; `next` is the `after` of the page behind it."""
        response = await self._ask(
            "GET",
            address("memory", self._namespace, "entries"),
            params={"prefix": prefix, "after": after, "limit": limit},
        )
        page = decoded(response, _Page)
        return EntryPage([one.entry for one in page.entries], page.next)

    def _path(self, key: str, *more: str) -> str:
        return address("memory", self._namespace, "entries", key, *more)


_condition = if_version
