"""RoutingAudit: what happens to routes, told to the audit and to the timeline.

    routing.lookup   a route was resolved: for a scope that is bound to its backend anew, for who
                     asked (resolve, explain), or because a root was opened
    routing.update   a change, twice: before it (`phase: intent`) and after it (`done`, `failed`)
    routing.health   the circuit of a backend changed; on the timeline alone

Job: have the intent of a change durable before the change, and tell what became of it.
Rules:
- The intent is kept first: with a strict audit, no intent, no change. The outcome follows the
  change; when it cannot be kept then, it is tried until it can. A crash in between leaves an intent
  without an outcome, which the revisions in it settle: the registry is at the one or the other.
- A change that makes the first place for the audit is its own exception: nothing could keep its
  intent. Its outcome says `founding`, and the history of the registry has it whatever happens.
- A record has rows of one scope, and is kept with the tenant of that scope.
- The timeline is the stream `routing` of the system tenant, in the env and mode of the row. It is
  for interfaces to follow over SSE: it gets what has happened, and its loss refuses nothing.
Source: R-07, R-14, R-15, EM-01, Q9; decision 0022.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from eventspine.actors.backend_health import BackendHealth
from eventspine.contracts.asking import asking
from eventspine.contracts.audit import (
    TIMELINE_STREAM,
    audit_event,
    places_of_row,
    route_keys,
    timeline_of,
    without_secrets,
)
from eventspine.contracts.circuit import CircuitState
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import EventspineError, InvalidId
from eventspine.contracts.ids import checked_id
from eventspine.contracts.route import ResourceRoute, RouteKey
from eventspine.contracts.route_change import RouteChange, RowChange
from eventspine.services.audit import Audit, is_unaudited
from eventspine.services.routing.health import told_routes
from eventspine.services.routing.lookups import RouteLookups

log = logging.getLogger(__name__)
SURFACE = "routing"
LOOKUP, UPDATE, HEALTH = "routing.lookup", "routing.update", "routing.health"
ROWS_MAX = 100  # rows in one record


class Part(NamedTuple):
    """Rows of a change that belong to one scope, few enough for a record."""

    where: list[RequestContext]
    rows: tuple[RowChange, ...]


class RoutingAudit:
    def __init__(self, audit: Audit, routes: RouteLookups) -> None:
        self._audit = audit
        self._routes = routes
        self._founding: list[bool] = []  # of the parts of the change that is being made

    # --- looks ---

    def looked_up(self, key: RouteKey, route: ResourceRoute, how: str) -> None:
        """A route was resolved. Costs no waiting."""
        if is_unaudited() or not self._audit.settings.lookups:
            return
        who = asking()
        metadata = {
            "resource_kind": key.resource_kind,
            "how": how,
            "key": "/".join(key),
            "route": "/".join(route.key),
            "revision": route.revision,
            "backend": route.backend,  # where one is declared, and then there is no type
            "backend_type": route.backend_type,
            "by": who.user_id,
        }
        event = audit_event(places_of_row(key, who)[0], LOOKUP, SURFACE, metadata)
        self._audit.queue.post(places_of_row(key), "audit", event)

    # --- changes ---

    async def intended(self, change: RouteChange) -> None:
        """Have it durable that a change is about to be made. Raises AuditUnavailable."""
        parts = list(_parts(change))
        self._founding = [not self._has_place(p) and self._founds(change, p) for p in parts]
        for part, founding in zip(parts, self._founding, strict=True):
            if not founding:
                event = self._event(change, part, "intent")
                await self._audit.record(part.where, event, UPDATE)

    async def ended(self, change: RouteChange, error: Exception | None = None) -> None:
        """Tell what became of a change. Raises nothing that the change would suffer from."""
        for part, founding in zip(_parts(change), self._founding, strict=True):
            event = self._event(change, part, "failed" if error else "done", founding=founding)
            states: dict[str, str] = {
                "/".join(row.key): self._routes.health(row.key).state for row in part.rows
            }
            event["payload"]["output_data"] = (
                {"error": error.code if isinstance(error, EventspineError) else repr(error)}
                if error is not None
                else {"revision": change.revision, "state": states}
            )
            await self._keep_or_queue(part, event)
            if error is None:
                self._tell(change, part, states)

    async def _keep_or_queue(self, part: Part, event: dict[str, Any]) -> None:
        try:
            await self._audit.write(part.where, "audit", [event])
        except EventspineError as error:
            log.warning("the outcome of a change of routes waits for the audit: %s", error)
            self._audit.queue.post([_scope_of(place) for place in part.where], "audit", event)

    @staticmethod
    def _event(
        change: RouteChange, part: Part, phase: str, *, founding: bool = False
    ) -> dict[str, Any]:
        metadata = {
            "phase": phase,
            "change": f"{change.revision}@{change.at.isoformat()}",
            "action": change.action,
            "revision_before": change.revision - 1,
            "revision_after": change.revision,
            "by": change.by,
            "reason": change.reason,
            "at": change.at.isoformat(),
            **({"founding": True} if founding else {}),
        }
        rows = [_row(row) for row in part.rows]
        return audit_event(part.where[0], UPDATE, SURFACE, metadata, {"rows": rows})

    # --- places ---

    def _has_place(self, part: Part) -> bool:
        return any(self._resolves(place) for place in part.where)

    def _resolves(self, place: RequestContext) -> bool:
        for key in route_keys(place):
            route = self._routes.find(key)
            if route is not None:
                return self._routes.may_serve(route)
        return False

    @staticmethod
    def _founds(change: RouteChange, part: Part) -> bool:
        """Whether this change makes a place where its records can be kept."""
        made = {row.key for row in change.rows if row.after is not None}
        return any(key in made for place in part.where for key in route_keys(place))

    # --- the timeline ---

    def _tell(self, change: RouteChange, part: Part, states: dict[str, str]) -> None:
        payload = {
            "revision": change.revision,
            "action": change.action,
            "by": change.by,
            "reason": change.reason,
            "rows": [_row(row) for row in part.rows],
            "state": states,
        }
        self._post(timeline_of(part.rows[0].key), UPDATE, payload)

    def health_changed(
        self, health: BackendHealth, before: CircuitState, keys: list[RouteKey]
    ) -> None:
        """The circuit of a backend changed: told wherever one of its routes is told of."""
        payload = {"before": before, **health.shown().model_dump(), **told_routes(keys)}
        scopes = {context.scope: context for context in map(timeline_of, keys)}
        for context in scopes.values():
            self._post(context, HEALTH, payload)

    def _post(self, context: RequestContext, event_type: str, payload: dict[str, Any]) -> None:
        if self._resolves(context):
            event = {"event_type": event_type, "payload": without_secrets(payload)}
            self._audit.queue.post([context], TIMELINE_STREAM, event)


def _parts(change: RouteChange) -> Iterator[Part]:
    who = asking()
    user = change.by if change.by is not None and _is_id(change.by) else who.user_id
    by_scope: dict[tuple[str, ...], list[RowChange]] = {}
    for row in change.rows:
        by_scope.setdefault(row.key[1:], []).append(row)
    for rows in by_scope.values():
        where = places_of_row(rows[0].key, who._replace(user_id=user))
        left = iter(rows)
        while some := tuple(islice(left, ROWS_MAX)):
            yield Part(where, some)


def _row(row: RowChange) -> dict[str, Any]:
    return {
        "key": "/".join(row.key),
        "before": None if row.before is None else row.before.revision,
        "after": None if row.after is None else row.after.revision,
        "diff": row.diff,
    }


def _scope_of(place: RequestContext) -> RequestContext:
    """The place without who asked."""
    return RequestContext(**place.scope._asdict())


def _is_id(text: str) -> bool:
    try:
        checked_id(text, "user_id")
    except InvalidId:
        return False
    return True
