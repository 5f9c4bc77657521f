"""The endpoints of the registry as a whole: explain, history, rollback, plan, apply, watch.

A change of the whole is guarded as one of a row is: `If-Match` takes the revision of the registry,
a file of routes its `serial`. What it did is answered as the history has it, with what the owner
of each row says: `serving` (ACK) or `stale` and why (NACK).
"""

from __future__ import annotations

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import query
from eventspine.api.address import RawRoute, raw_path
from eventspine.api.answer import NO_STORE, Answer, json_answer
from eventspine.api.call import Call
from eventspine.api.problem import problem
from eventspine.api.routing.asked import asked
from eventspine.api.routing.parts import (
    KEY_NAMES,
    changed_by,
    if_revision,
    json_members,
    key_parts,
    reason_of,
    scope_key,
)
from eventspine.api.routing.watch import RouteWatch
from eventspine.api.service import SpineService
from eventspine.contracts.errors import BackendRefusedInMode, InvalidRequest
from eventspine.contracts.route_change import RouteChange
from eventspine.contracts.route_file import checked_file

_HISTORY_NAMES = KEY_NAMES | {"before", "limit"}
HISTORY_DEFAULT, HISTORY_MAX = 100, 1000


class RegistryEndpoints:
    def __init__(self, spine: SpineService) -> None:
        self._spine = spine
        self._routes = spine.routes
        self._bytes_max = spine.settings.limits.body_bytes_max

    def routes(self) -> list[BaseRoute]:
        return [
            RawRoute("/v1/routes/explain", {"GET": asked(self.explain)}),
            RawRoute("/v1/routes/history", {"GET": self.history}),
            RawRoute("/v1/routes/rollback", {"POST": asked(self.rollback)}),
            RawRoute("/v1/routes/plan", {"POST": self.plan}),
            RawRoute("/v1/routes/apply", {"POST": asked(self.apply)}),
            RawRoute("/v1/routes/watch", {"GET": self.watch}),
        ]

    async def explain(self, call: Call) -> ASGIApp:
        key = scope_key(query.parsed(call.query, KEY_NAMES))
        return json_answer(200, self._routes.explain(key), [NO_STORE])

    async def history(self, call: Call) -> ASGIApp:
        """Changes, the newest first; `next` is the `before` of the page behind this one."""
        values = query.parsed(call.query, _HISTORY_NAMES)
        before = query.whole_number(values, "before", 1)
        limit = min(query.whole_number(values, "limit", 1) or HISTORY_DEFAULT, HISTORY_MAX)
        matching = key_parts({k: v for k, v in values.items() if k in KEY_NAMES})
        found = await self._routes.history.entries(matching, before, limit + 1)
        page = [change.model_dump(mode="json") for change in found[:limit]]
        following = found[limit - 1].revision if len(found) > limit else None
        answer = {"revision": self._routes.revision, "changes": page, "next": following}
        return json_answer(200, answer, [NO_STORE])

    async def rollback(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        expected = if_revision(call.fields, "the revision of the registry")
        by = changed_by(call.fields)
        members = await json_members(call, self._bytes_max)
        to, reason = members.get("to"), reason_of(members)
        if type(to) is not int or to < 0 or members.keys() - {"to", "reason"}:
            raise InvalidRequest("the body is {to: a revision, reason: a text}", parameter="to")
        try:
            change = await self._routes.rollback(to, expected, by, reason)
        except BackendRefusedInMode as error:
            return _refused(call, error)
        return self._changed(change)

    async def plan(self, call: Call) -> ASGIApp:
        """What `apply` would change. Answers the serial that a file needs to be applied now."""
        query.parsed(call.query, ())
        file = checked_file(await json_members(call, self._bytes_max))
        try:
            rows = self._routes.plan(file)
        except BackendRefusedInMode as error:
            return _refused(call, error)
        answer = {
            "serial": self._routes.revision,
            "applies": file.serial in (None, self._routes.revision),
            "rows": [row.model_dump(mode="json") for row in rows],
        }
        return json_answer(200, answer, [NO_STORE])

    async def apply(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        by = changed_by(call.fields)
        members = await json_members(call, self._bytes_max)
        reason = reason_of(members)
        members.pop("reason", None)
        try:
            change = await self._routes.apply(checked_file(members), by, reason)
        except BackendRefusedInMode as error:
            return _refused(call, error)
        return self._changed(change)

    async def watch(self, call: Call) -> ASGIApp:
        """Changes after `rev` as they come; a `reload` with everything when that is gone."""
        values = query.parsed(call.query, ["rev", "last_event_id"])
        seen = call.fields.text(b"last-event-id") or values.get("last_event_id")
        if seen:
            values["rev"] = seen
        return RouteWatch(self._spine, call, query.whole_number(values, "rev", 0))

    def _changed(self, change: RouteChange | None) -> Answer:
        """The change, or null when everything was so already, and how its rows are served."""
        keys = [] if change is None else [row.key for row in change.rows]
        answer = {
            "revision": self._routes.revision,
            "change": None if change is None else change.model_dump(mode="json"),
            "health": {"/".join(k): self._routes.health(k).model_dump() for k in keys},
        }
        return json_answer(200, answer, [NO_STORE])


def _refused(call: Call, error: BackendRefusedInMode) -> Answer:
    # here the operator is the caller, and the route is what is wrong
    instance = raw_path(call.scope).decode("latin-1")
    return problem(error, instance, call.request_id, status=422)
