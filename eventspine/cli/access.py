"""The streams a command works on: the root opened in this process, or a server over HTTP.

A root has one owner. When a server holds it, its lock names the server's address, and the command
goes there by itself; the person at the keyboard does not have to know which of the two it was.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from eventspine.cli.where import Where, completed_by
from eventspine.client import End, EventspineClient, TailEvent, TailItem
from eventspine.client.answers import cursor_of
from eventspine.contracts.answers import Appended, Head, Page, Selection
from eventspine.contracts.context import RequestContext, context_of
from eventspine.contracts.errors import RootLocked
from eventspine.contracts.route import ResourceRoute, RouteKey, RouteSpec
from eventspine.contracts.stream_filter import StreamFilter

if TYPE_CHECKING:
    from eventspine.services.spine import Spine

_BY = "eventspine routes"


class Routes(Protocol):
    """The registry of the root or server."""

    async def list(self) -> list[ResourceRoute]: ...
    async def get(self, key: RouteKey) -> ResourceRoute: ...
    async def create(self, spec: RouteSpec) -> ResourceRoute: ...
    async def update(self, spec: RouteSpec, revision: int | None) -> ResourceRoute: ...
    async def delete(self, key: RouteKey, revision: int | None) -> None: ...


class Asked(NamedTuple):
    """Which events of a stream: see StreamFilter."""

    event_types: Sequence[str]
    since: str | None
    until: str | None
    metadata: Mapping[str, str]

    @property
    def is_open(self) -> bool:
        return not any(self)


class Access(Protocol):
    """What the commands do to streams and routes."""

    async def append(self, stream_id: str, ndjson: bytes) -> Appended: ...
    async def page(
        self, stream_id: str, after: str | None, before: str | None, limit: int | None
    ) -> Page: ...
    async def query(
        self, stream_id: str, asked: Asked, after: str | None, limit: int | None
    ) -> Selection: ...
    async def head(self, stream_id: str) -> Head: ...
    def follow(self, stream_id: str, after: str | None) -> AsyncGenerator[TailItem, None]: ...
    @property
    def routes(self) -> Routes: ...
    async def completed(self, stated: dict[str, str]) -> dict[str, str]: ...


async def spine_or_url(stack: AsyncExitStack, where: Where) -> Spine | str:
    """The root opened in this process until `stack` ends, or the address of who serves it.

    Raises as `open_access` does.
    """
    from eventspine.bootstrap import open_spine

    if where.url is not None:
        return where.url
    try:
        return await stack.enter_async_context(open_spine(where.root))
    except RootLocked as locked:
        holder = locked.fields.get("url")
        if not isinstance(holder, str):
            raise
        return holder


@asynccontextmanager
async def open_access(where: Where) -> AsyncIterator[Access]:
    """Access to what `where` names.

    Raises:
        RootLocked: a process that is no server has the root.
        RootInvalid, SettingsInvalid: the root cannot be used as it is.
    """
    async with AsyncExitStack() as stack:
        found = await spine_or_url(stack, where)
        if not isinstance(found, str):
            yield Embedded(found, where.stated)
            return
        client = await stack.enter_async_context(
            EventspineClient(found, context=where.stated, connections_max=4)
        )
        yield OverHttp(client)


class OverHttp:
    """By a server. What the options leave out, the server completes from its lab settings."""

    def __init__(self, client: EventspineClient) -> None:
        self._client = client

    async def append(self, stream_id: str, ndjson: bytes) -> Appended:
        return await self._client.append_body(stream_id, ndjson, ndjson=True, minimal=True)

    async def page(
        self, stream_id: str, after: str | None, before: str | None, limit: int | None
    ) -> Page:
        return await self._client.list_after(stream_id, after, before=before, limit=limit)

    async def query(
        self, stream_id: str, asked: Asked, after: str | None, limit: int | None
    ) -> Selection:
        return await self._client.query(
            stream_id,
            asked.event_types,
            since=asked.since,
            until=asked.until,
            metadata=asked.metadata,
            after=after,
            limit=limit,
        )

    async def head(self, stream_id: str) -> Head:
        return await self._client.head(stream_id)

    def follow(self, stream_id: str, after: str | None) -> AsyncGenerator[TailItem, None]:
        return self._client.tail(stream_id, after)

    @property
    def routes(self) -> Routes:
        return self._client.routes

    async def completed(self, stated: dict[str, str]) -> dict[str, str]:
        return completed_by(await self._client.routes.lab(), stated)


class Embedded:
    """By a spine in this process, completed from the lab settings of its root."""

    def __init__(self, spine: Spine, stated: dict[str, str]) -> None:
        self._spine = spine
        self._stated = stated

    @property
    def _context(self) -> RequestContext:
        stated = completed_by(self._lab, self._stated)
        return context_of(stated, None, self._spine.settings.surface_aliases)

    @property
    def _lab(self) -> dict[str, str]:
        lab = self._spine.settings.lab
        return {} if lab is None else lab.model_dump()

    async def completed(self, stated: dict[str, str]) -> dict[str, str]:
        return completed_by(self._lab, stated)

    async def append(self, stream_id: str, ndjson: bytes) -> Appended:
        return await self._spine.append_json(stream_id, ndjson, self._context, ndjson=True)

    async def page(
        self, stream_id: str, after: str | None, before: str | None, limit: int | None
    ) -> Page:
        return await self._spine.list_after(
            stream_id, after, self._context, before=before, limit=limit
        )

    async def query(
        self, stream_id: str, asked: Asked, after: str | None, limit: int | None
    ) -> Selection:
        wanted = StreamFilter(
            asked.event_types, since=asked.since, until=asked.until, metadata=asked.metadata
        )
        return await self._spine.query(stream_id, wanted, self._context, after=after, limit=limit)

    async def head(self, stream_id: str) -> Head:
        return await self._spine.head(stream_id, self._context)

    async def follow(self, stream_id: str, after: str | None) -> AsyncGenerator[TailItem, None]:
        subscription = await self._spine.subscribe(stream_id, self._context, after)
        async with aclosing(subscription):
            while True:
                try:
                    piece = await subscription.next()
                except StopAsyncIteration:
                    yield End(subscription.ended or "reset")
                    return
                for line in piece.lines if piece is not None else ():
                    yield TailEvent(cursor_of(line), line)

    @property
    def routes(self) -> Routes:
        return EmbeddedRoutes(self._spine)


class EmbeddedRoutes:
    """The registry of a spine, signed with the name of this command."""

    def __init__(self, spine: Spine) -> None:
        self._routes = spine.routes

    async def list(self) -> list[ResourceRoute]:
        return self._routes.shown()

    async def get(self, key: RouteKey) -> ResourceRoute:
        return self._routes.get(key)

    async def create(self, spec: RouteSpec) -> ResourceRoute:
        return await self._routes.create(spec, by=_BY)

    async def update(self, spec: RouteSpec, revision: int | None) -> ResourceRoute:
        return await self._routes.update(spec, revision, by=_BY)

    async def delete(self, key: RouteKey, revision: int | None) -> None:
        await self._routes.delete(key, revision, by=_BY)
