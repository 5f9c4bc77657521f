"""The endpoints of routes: which backend holds one kind of store for one scope.

A route is addressed by its key, `/v1/routes/{kind}/{tenant}/{env}/{project}/{mode}`, and carries
its revision as ETag; PUT and DELETE take it in If-Match. A PUT to a key without a route creates
it; the key in the body, where stated, must be the one in the address. `dry_run=1` on POST and PUT
tries the change, the backend included, and changes nothing. `health` is what the owner of the row
says: whether it serves this revision (ACK) or could not open it (NACK, `stale`, with the reason).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp

from eventspine.api import query
from eventspine.api.address import raw_path
from eventspine.api.answer import NO_STORE, Answer, Header, json_answer
from eventspine.api.call import Call
from eventspine.api.problem import problem
from eventspine.api.routing.parts import (
    KEY_NAMES,
    changed_by,
    if_revision,
    json_members,
    key_of,
    key_parts,
    modelled,
    scope_key,
)
from eventspine.api.service import SpineService
from eventspine.contracts.errors import (
    BackendRefusedInMode,
    InvalidRequest,
    InvalidRoute,
    RouteNotFound,
)
from eventspine.contracts.route import ResourceRoute, RouteKey, RouteSpec


class RouteEndpoints:
    def __init__(self, spine: SpineService) -> None:
        self._routes = spine.routes
        self._lab = spine.settings.lab
        self._bytes_max = spine.settings.limits.body_bytes_max

    async def list(self, call: Call) -> ASGIApp:
        """All routes, or those that match every key part; and what a request may leave out."""
        wanted = key_parts(query.parsed(call.query, KEY_NAMES))
        found = [
            self._shown(route)
            for route in self._routes.shown()
            if all(route.key._asdict()[name] == value for name, value in wanted.items())
        ]
        lab = None if self._lab is None else self._lab.model_dump()
        answer = {"routes": found, "revision": self._routes.revision, "lab": lab}
        return json_answer(200, answer, [NO_STORE])

    async def resolve(self, call: Call) -> ASGIApp:
        key = scope_key(query.parsed(call.query, KEY_NAMES))
        return self._answer(200, self._routes.get_route(*key))

    async def get(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        return self._answer(200, self._routes.get(key_of(call)))

    async def create(self, call: Call) -> ASGIApp:
        dry = _dry_run(call)
        spec = modelled(RouteSpec, await json_members(call, self._bytes_max))
        return await self._written(call, spec, None, create=True, dry=dry)

    async def put(self, call: Call) -> ASGIApp:
        dry = _dry_run(call)
        key = key_of(call)
        revision = if_revision(call.fields, "the ETag of the route")
        members = await json_members(call, self._bytes_max)
        for name, value in key._asdict().items():
            if members.setdefault(name, value) != value:
                raise InvalidRoute(f"{name} is not the one in the address", field=name)
        create = revision is None and not self._exists(key)
        spec = modelled(RouteSpec, members)
        return await self._written(call, spec, revision, create=create, dry=dry)

    async def delete(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        revision = if_revision(call.fields, "the ETag of the route")
        await self._routes.delete(key_of(call), revision, by=changed_by(call.fields))
        return Answer(204)

    async def _written(
        self, call: Call, spec: RouteSpec, revision: int | None, *, create: bool, dry: bool
    ) -> Answer:
        by = changed_by(call.fields)
        try:
            if dry:
                trial = await self._routes.dry_run(spec, revision, create=create)
                return json_answer(200, trial.members(), [NO_STORE])
            if not create:
                return self._answer(200, await self._routes.update(spec, revision, by=by))
            route = await self._routes.create(spec, by=by)
        except BackendRefusedInMode as error:
            # here the operator is the caller, and the route is what is wrong
            instance = raw_path(call.scope).decode("latin-1")
            return problem(error, instance, call.request_id, status=422)
        return self._answer(201, route, [(b"location", _location(route).encode())])

    def _exists(self, key: RouteKey) -> bool:
        try:
            self._routes.get(key)
        except RouteNotFound:
            return False
        return True

    def _shown(self, route: ResourceRoute) -> dict[str, Any]:
        health = self._routes.health(route.key)
        return {**route.model_dump(mode="json"), "health": health.model_dump()}

    def _answer(self, status: int, route: ResourceRoute, headers: Sequence[Header] = ()) -> Answer:
        both = [(b"etag", route.etag.encode()), NO_STORE, *headers]
        return json_answer(status, self._shown(route), both)


def _dry_run(call: Call) -> bool:
    text = query.parsed(call.query, ["dry_run"]).get("dry_run", "0")
    if text not in ("0", "1"):
        raise InvalidRequest("dry_run must be 0 or 1", parameter="dry_run")
    return text == "1"


def _location(route: ResourceRoute) -> str:
    return "/v1/routes/" + "/".join(quote(part, safe="") for part in route.key)
