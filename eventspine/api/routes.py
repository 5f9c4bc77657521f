"""The endpoints of routes: which backend holds one kind of store for one scope.

A route is addressed by its key, `/v1/routes/{kind}/{tenant}/{env}/{project}/{mode}`, and carries
its revision as ETag; PUT and DELETE take it in If-Match. A PUT to a key without a route creates
it; the key in the body, where stated, must be the one in the address.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson
from pydantic import ValidationError
from starlette.types import ASGIApp

from eventspine.api import negotiation, query
from eventspine.api.address import raw_path
from eventspine.api.answer import Answer, Header, json_answer
from eventspine.api.body import read_body
from eventspine.api.call import Call
from eventspine.api.problem import problem
from eventspine.api.service import SpineService
from eventspine.contracts.context import DEFAULT_PROJECT
from eventspine.contracts.errors import (
    BackendRefusedInMode,
    InvalidJson,
    InvalidRequest,
    InvalidRoute,
    RouteNotFound,
)
from eventspine.contracts.ids import checked_id
from eventspine.contracts.route import ResourceKind, ResourceRoute, RouteKey, RouteSpec

KEY_NAMES = frozenset(RouteKey._fields)
_NO_STORE: Header = (b"cache-control", b"no-store")


class RouteEndpoints:
    def __init__(self, spine: SpineService) -> None:
        self._routes = spine.routes
        self._bytes_max = spine.settings.limits.body_bytes_max

    async def list(self, call: Call) -> ASGIApp:
        """All routes, or those that match every key part given."""
        wanted = _key_parts(query.parsed(call.query, KEY_NAMES))
        found = [
            route.model_dump(mode="json")
            for route in self._routes.list()
            if all(route.key._asdict()[name] == value for name, value in wanted.items())
        ]
        return json_answer(200, {"routes": found}, [_NO_STORE])

    async def resolve(self, call: Call) -> ASGIApp:
        values = _key_parts(query.parsed(call.query, KEY_NAMES))
        missing = sorted(KEY_NAMES - values.keys() - {"project_id"})
        if missing:
            raise InvalidRequest(f"missing: {', '.join(missing)}", parameter=missing[0])
        values.setdefault("project_id", DEFAULT_PROJECT)
        return _route_answer(200, self._routes.get_route(**values))

    async def get(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        return _route_answer(200, self._routes.get(_key(call)))

    async def create(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        spec = _spec(await self._members(call))
        return await self._written(call, spec, None, create=True)

    async def put(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        key = _key(call)
        revision = _revision(call)
        members = await self._members(call)
        for name, value in key._asdict().items():
            if members.setdefault(name, value) != value:
                raise InvalidRoute(f"{name} is not the one in the address", field=name)
        return await self._written(call, _spec(members), revision, create=False)

    async def delete(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        await self._routes.delete(_key(call), _revision(call), by=_by(call))
        return Answer(204)

    async def _written(
        self, call: Call, spec: RouteSpec, revision: int | None, *, create: bool
    ) -> Answer:
        try:
            if not create and (revision is not None or self._exists(spec.key)):
                return _route_answer(200, await self._routes.update(spec, revision, by=_by(call)))
            route = await self._routes.create(spec, by=_by(call))
        except BackendRefusedInMode as error:
            # here the operator is the caller, and the route is what is wrong
            instance = raw_path(call.scope).decode("latin-1")
            return problem(error, instance, call.request_id, status=422)
        return _route_answer(201, route, [(b"location", _location(route).encode())])

    def _exists(self, key: RouteKey) -> bool:
        try:
            self._routes.get(key)
        except RouteNotFound:
            return False
        return True

    async def _members(self, call: Call) -> dict[str, Any]:
        negotiation.require_json(call.fields)
        body = await read_body(call.receive, call.fields, self._bytes_max)
        try:
            members = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidJson(f"the body is not JSON: {error}") from None
        if not isinstance(members, dict):
            raise InvalidRoute("a route is a JSON object")
        return members


def _spec(members: dict[str, Any]) -> RouteSpec:
    try:
        return RouteSpec.model_validate(members)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidRoute(f"{field}: {first['msg']}", field=field) from None


def _key(call: Call) -> RouteKey:
    return RouteKey(**_key_parts(call.parameters))


def _key_parts(stated: dict[str, str]) -> dict[str, str]:
    for name, value in stated.items():
        checked_id(value, name)
    kind = stated.get("resource_kind")
    if kind is not None and kind not in set(ResourceKind):
        kinds = [known.value for known in ResourceKind]
        raise InvalidRequest(
            f"resource_kind must be one of {', '.join(kinds)}", parameter="resource_kind"
        )
    return stated


def _revision(call: Call) -> int | None:
    tag = negotiation.entity_tag(call.fields)
    if tag is None:
        return None
    if not (tag.isascii() and tag.isdigit() and len(tag) < 19):
        raise InvalidRequest("If-Match must be the ETag of the route", parameter="If-Match")
    return int(tag)


def _by(call: Call) -> str | None:
    user = call.fields.text(b"x-user-id")
    return None if user is None else checked_id(user, "user_id")


def _location(route: ResourceRoute) -> str:
    return "/v1/routes/" + "/".join(quote(part, safe="") for part in route.key)


def _route_answer(status: int, route: ResourceRoute, headers: list[Header] | None = None) -> Answer:
    both = [(b"etag", route.etag.encode()), _NO_STORE, *(headers or [])]
    return json_answer(status, route.model_dump(mode="json"), both)
