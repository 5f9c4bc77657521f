"""The stores a command works on, spoken to by HTTP: a server, or the root opened in this process.

A root that nobody has open is opened, and the front is asked without a socket, so that a command
is written once and says the same in both cases.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import click
import httpx
import orjson

from eventspine.cli.access import spine_or_url
from eventspine.cli.output import note
from eventspine.cli.where import Where
from eventspine.client.context_headers import headers_of
from eventspine.client.problem import error_of
from eventspine.client.stores import asking

TIMEOUT_S = 60.0
_PAGE_ITEMS = 1000


class StoreAccess:
    """Asks one front in the name of one context."""

    def __init__(self, client: httpx.AsyncClient, where: Where) -> None:
        self._client = client
        self._headers = headers_of(where.stated)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout_s: float | None = TIMEOUT_S,
    ) -> httpx.Response:
        """The answer, if it is a good one. Raises the error that a problem document stands for."""
        both = [*self._headers, *((k.encode(), v.encode()) for k, v in (headers or {}).items())]
        if content is not None and not any(name.lower() == b"content-type" for name, _ in both):
            both.append((b"content-type", b"application/json"))
        wanted = {name: value for name, value in (params or {}).items() if value is not None}
        answer = await self._client.request(
            method, path, params=wanted, headers=both, content=content, timeout=timeout_s
        )
        if answer.status_code >= 400:
            raise error_of(answer.status_code, answer.content, str(answer.url))
        return answer


def if_version(version: int | None) -> dict[str, str]:
    """As header fields: the row or entry is at this version; 0: there is none."""
    return {name.decode(): value.decode() for name, value in asking.if_version(version)}


@asynccontextmanager
async def open_stores(where: Where) -> AsyncIterator[StoreAccess]:
    """Access to the stores of what `where` names. Raises as `open_access` does."""
    from eventspine.api.app import create_app

    async with AsyncExitStack() as stack:
        found, transport = await spine_or_url(stack, where), None
        if isinstance(found, str):
            url = found
        else:
            url, transport = "http://eventspine", httpx.ASGITransport(create_app(found))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, transport=transport, timeout=TIMEOUT_S)
        )
        yield StoreAccess(client, where)


async def print_pages(where: Where, path: str, member: str, prefix: str, limit: int | None) -> None:
    """What a listing has in its `member`, page after page, one JSON object a line."""
    left, after = limit, None
    async with open_stores(where) as stores:
        while left is None or left > 0:
            wanted = _PAGE_ITEMS if left is None else min(left, _PAGE_ITEMS)
            params = {"prefix": prefix, "after": after, "limit": wanted}
            page = (await stores.ask("GET", path, params=params)).json()
            for item in page[member]:
                click.echo(orjson.dumps(item))
            left = None if left is None else left - len(page[member])
            after = page["next"]
            if after is None:
                return
    note(f"there is more behind {after}")
