"""ServerAccess: one server, asked over HTTP as often as it takes, on asyncio and trio.

Rules: a refusal comes back as the class of contracts.errors it was on the server. What is safe to
repeat is repeated while there is patience (retry_policy.py); what is not is sent again only when it
certainly never ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import anyio
import httpx
import msgspec

from eventspine.client.context_headers import headers_of
from eventspine.client.errors import ServerUnreachable
from eventspine.client.problem import error_of
from eventspine.client.retry_policy import RetryPolicy, has_not_run
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import EventspineError, InvalidRequest

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    requests: int
    retries: int
    reconnects: int
    dropped: int


class ServerAccess:
    """Talks to one server. Use it as an async context manager.

    Args:
        base_url: where the server is, as `http://127.0.0.1:8080`.
        context: the scope of every call: a RequestContext, or a part of one (`{"tenant_id": …}`)
            for a server that completes it from its lab settings; None states nothing.
        retry: how patiently safe calls are repeated.
        http: a client to use instead of our own (its timeouts then count); not closed by us.
    """

    def __init__(
        self,
        base_url: str,
        *,
        context: RequestContext | Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
        http: httpx.AsyncClient | None = None,
        timeout_s: float = 30.0,
        connections_max: int = 100,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.retry = retry or RetryPolicy()
        self._headers = headers_of(context)
        self._owned = http is None
        self._http = http or httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_s, connect=5.0, pool=None),
            limits=httpx.Limits(max_connections=connections_max, max_keepalive_connections=None),
            trust_env=False,
        )
        self._requests = self._retries = self._reconnects = self._dropped = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._owned:
            await self._http.aclose()

    def statistics(self) -> ClientStatistics:
        return ClientStatistics(self._requests, self._retries, self._reconnects, self._dropped)

    async def ask_json(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> Any:
        """The decoded body of any other address of the server; None when it has none."""
        headers = [*headers, (b"Accept", _JSON)]
        response = await self._ask(method, path, content=content, headers=headers)
        return msgspec.json.decode(response.content) if response.content else None

    async def ask_store(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        content: bytes | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        is_repeatable: bool = True,
    ) -> httpx.Response:
        """The successful answer of any other address of the server; params that are None are left
        out. What is not repeatable is not sent again once it may have run."""
        stated = {name: str(value) for name, value in (params or {}).items() if value is not None}
        return await self._ask(
            method,
            path,
            params=stated or None,
            content=content,
            headers=headers,
            is_repeatable=is_repeatable,
        )

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        is_repeatable: bool = True,
    ) -> httpx.Response:
        """The successful answer, however many tries it takes within the patience."""
        started, attempt = anyio.current_time(), 0
        while True:
            attempt += 1
            outcome = await self._try(method, path, params, content, headers, attempt, started)
            if isinstance(outcome, httpx.Response):
                return outcome
            wait = self.retry.wait_s(attempt, anyio.current_time() - started, outcome)
            if wait is None or not (is_repeatable or has_not_run(outcome)):
                raise outcome
            self._retries += 1
            await anyio.sleep(wait)

    async def _try(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None,
        content: bytes | None,
        headers: Sequence[tuple[bytes, bytes]],
        attempt: int,
        started: float,
    ) -> httpx.Response | EventspineError:
        url = self.base_url + path
        self._requests += 1
        try:
            response = await self._http.request(
                method, url, params=params, content=content, headers=[*self._headers, *headers]
            )
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise InvalidRequest(f"{self.base_url} is not an http address: {error}") from error
        except httpx.TransportError as error:
            return self._unreachable(error, attempt, anyio.current_time() - started)
        if response.is_success:
            return response
        retry_after = response.headers.get("retry-after")
        return error_of(response.status_code, response.content, url, retry_after)

    def _unreachable(
        self, error: Exception | None, attempts: int, waited_s: float
    ) -> ServerUnreachable:
        why = (str(error) or type(error).__name__) if error else "the connection ended"
        return ServerUnreachable(
            f"{self.base_url}: {why} ({attempts} tries in {waited_s:.1f} s)",
            url=self.base_url,
            attempts=attempts,
            waited_s=waited_s,
            was_sent=not isinstance(error, _NEVER_SENT),
        )
