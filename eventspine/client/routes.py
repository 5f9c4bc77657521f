"""The routes of a server: which backend holds one kind of store for one scope."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol
from urllib.parse import quote

import orjson
from pydantic import ValidationError

from eventspine.client.errors import BadAnswer
from eventspine.contracts.route import ResourceRoute, RouteKey, RouteSpec

_JSON = (b"Content-Type", b"application/json")


class Ask(Protocol):
    """`EventspineClient.ask_json`."""

    def __call__(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> Awaitable[Any]: ...


class ClientRoutes:
    """List, read and change routes. A `revision` given must be the current one (RouteConflict)."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def list(self) -> list[ResourceRoute]:
        answer = await self._ask("GET", "/v1/routes")
        return [_route(item) for item in answer["routes"]]

    async def lab(self) -> dict[str, str]:
        """The context that the server completes requests with, where it has one."""
        return dict((await self._ask("GET", "/v1/routes")).get("lab") or {})

    async def get(self, key: RouteKey) -> ResourceRoute:
        return _route(await self._ask("GET", route_path(key)))

    async def create(self, spec: RouteSpec) -> ResourceRoute:
        """A new route. Raises RouteConflict when the key has one."""
        body = orjson.dumps(spec.model_dump(mode="json"))
        return _route(await self._ask("POST", "/v1/routes", content=body, headers=[_JSON]))

    async def update(self, spec: RouteSpec, revision: int | None = None) -> ResourceRoute:
        """Another backend for a key. Raises RouteNotFound, RouteConflict."""
        if revision is None:
            revision = (await self.get(spec.key)).revision  # a bare PUT would create it
        body = orjson.dumps(spec.model_dump(mode="json"))
        headers = [_JSON, *_if_match(revision)]
        return _route(await self._ask("PUT", route_path(spec.key), content=body, headers=headers))

    async def delete(self, key: RouteKey, revision: int | None = None) -> None:
        await self._ask("DELETE", route_path(key), headers=_if_match(revision))


def route_path(key: RouteKey) -> str:
    return "/v1/routes/" + "/".join(quote(part, safe="") for part in key)


def _if_match(revision: int | None) -> list[tuple[bytes, bytes]]:
    return [] if revision is None else [(b"If-Match", b'"%d"' % revision)]


def _route(value: Any) -> ResourceRoute:
    members = value
    if isinstance(value, dict):  # how it is served is not part of what is kept
        members = {name: part for name, part in value.items() if name != "health"}
    try:
        return ResourceRoute.model_validate(members)
    except ValidationError as error:
        raise BadAnswer(f"not a route: {error}") from error
