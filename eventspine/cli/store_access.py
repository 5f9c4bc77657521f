"""The stores a command works on, spoken to by HTTP: a server, or the root opened in this process.

A root that nobody has open is opened, and the front is asked without a socket, so that a command
is written once and says the same in both cases.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from eventspine.cli.where import Where
from eventspine.client.context_headers import headers_of
from eventspine.client.problem import error_of
from eventspine.contracts.errors import RootLocked

TIMEOUT_S = 60.0


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
    ) -> httpx.Response:
        """The answer, if it is a good one. Raises the error that a problem document stands for."""
        both = [*self._headers, *((k.encode(), v.encode()) for k, v in (headers or {}).items())]
        if content is not None and not any(name.lower() == b"content-type" for name, _ in both):
            both.append((b"content-type", b"application/json"))
        wanted = {name: value for name, value in (params or {}).items() if value is not None}
        answer = await self._client.request(
            method, path, params=wanted, headers=both, content=content
        )
        if answer.status_code >= 400:
            raise error_of(answer.status_code, answer.content, str(answer.url))
        return answer


@asynccontextmanager
async def open_stores(where: Where) -> AsyncIterator[StoreAccess]:
    """Access to the stores of what `where` names. Raises as `open_access` does."""
    from eventspine.api.app import create_app
    from eventspine.bootstrap import open_spine

    async with AsyncExitStack() as stack:
        url, transport = where.url, None
        if url is None:
            try:
                spine = await stack.enter_async_context(open_spine(where.root))
            except RootLocked as locked:
                holder = locked.fields.get("url")
                if not isinstance(holder, str):
                    raise
                url = holder
            else:
                url, transport = "http://eventspine", httpx.ASGITransport(create_app(spine))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, transport=transport, timeout=TIMEOUT_S)
        )
        yield StoreAccess(client, where)
