"""Spine: what a program calls. The same operations for an embedding process and the HTTP front.

Every operation takes a RequestContext (R-08). The route of its scope is resolved once and kept
until the registry changes it; after that an operation costs a dictionary look-up to get to its
actor. Source: DESIGN decisions 7, 8, 10; FN-01, FN-02.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eventspine.actors.append import Stamp, check_stated
from eventspine.actors.host import Request, StreamHost
from eventspine.actors.lookup import position
from eventspine.actors.page import page_after, page_before
from eventspine.actors.route import RouteActors
from eventspine.actors.stream import Commit, check_mode
from eventspine.actors.subscription import Subscription
from eventspine.actors.told import Done, Told
from eventspine.contracts.answers import Appended, Head, Page
from eventspine.contracts.context import RequestContext, Scope
from eventspine.contracts.errors import InvalidEvent, InvalidRequest, Overloaded, TooLarge
from eventspine.contracts.route import ResourceKind, RouteKey
from eventspine.contracts.settings import Settings
from eventspine.contracts.wire import Draft, WallClock, encode_json, parse_body
from eventspine.runtime.ticket import Ticket
from eventspine.runtime.tree import SupervisorTree
from eventspine.services.envelope import (
    Event,
    Place,
    is_plain,
    name_events,
    place_of,
    position_of,
    stamp_of,
    to_draft,
)
from eventspine.services.routes import RouteService
from eventspine.services.sender import Sender
from eventspine.services.statistics import SpineStatistics

PLACES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Binding:
    """A scope bound to the backend its route leads to, with what all its events have in common."""

    host: StreamHost
    prefix: str
    routing: Mapping[str, str]
    routing_json: bytes
    places: dict[str, Place] = field(default_factory=dict)

    def place(self, stream_id: str) -> Place:
        """Where a stream of this scope is; worked out once for a stream in use."""
        place = self.places.get(stream_id)
        if place is None:
            if len(self.places) >= PLACES_MAX:
                self.places.clear()
            place = self.places[stream_id] = place_of(stream_id, self.prefix, self.routing_json)
        return place


class Spine:
    """All streams of one root. Made by `eventspine.open`; lives inside its `async with`."""

    def __init__(
        self,
        settings: Settings,
        routes: RouteService,
        actors: RouteActors[StreamHost],
        hosts: Sequence[StreamHost],
        tree: Callable[[], SupervisorTree],
    ) -> None:
        self.settings = settings
        self.routes = routes
        self._limits = settings.limits
        self._actors = actors
        self._bindings: dict[Scope, Binding] = {}
        self._generation = 0
        self._clock = WallClock()
        self._hosts = hosts
        self._tree = tree
        self.announce: Callable[[str | None], None] = lambda url: None
        self._draining = False
        routes.on_change(self._route_changed)

    # --- append ---

    async def append(
        self,
        stream_id: str,
        event: Event,
        context: RequestContext,
        *,
        expected: str | None = None,
    ) -> Appended:
        """Append one event; answered when it is on disk. See append_batch."""
        draft = to_draft(event)
        if expected is None:
            commit = self.submit(stream_id, draft, context)
            if commit is not None:
                await commit.ticket
                return commit.appended()
        return await self._append(stream_id, [draft], context, expected)

    def submit(
        self,
        stream_id: str,
        draft: Draft,
        context: RequestContext,
        ticket: Ticket[None] | None = None,
    ) -> Commit | None:
        """Begin to append one event, without waiting for anything: the fast way of `append`.

        Args:
            ticket: settled, once, when the event is on disk or has failed; made if not given.

        Returns:
            The commit, whose `appended()` is the answer once `ticket` is settled. None when
            something has to be looked up, compared or waited for first: then `append` does it.
        """
        binding = self._bindings.get(context.scope)
        if binding is None or not is_plain(draft):
            return None
        place = binding.places.get(stream_id) or binding.place(stream_id)
        return binding.host.submit_plain(
            place.key, draft, stamp_of(context), self._clock.read(), place.address, ticket
        )

    async def append_batch(
        self,
        stream_id: str,
        events: Sequence[Event],
        context: RequestContext,
        *,
        expected: str | None = None,
    ) -> Appended:
        """Append events in this order, all of them or none; answered when they are on disk.

        Args:
            expected: the cursor the stream must be at, or "0" for a stream without events.

        Raises:
            ScopeMismatch: an event says it belongs elsewhere.
            EventConflict: an event id is taken by another event.
            PreconditionFailed, StreamClosed, TooLarge, InvalidEvent: nothing was stored.
            OutcomeUnknown: the backend failed on the way; send the same event ids again.
        """
        return await self._append(
            stream_id, [to_draft(event) for event in events], context, expected
        )

    async def append_json(
        self,
        stream_id: str,
        body: bytes,
        context: RequestContext,
        *,
        ndjson: bool = False,
        idempotency_key: str | None = None,
        expected: str | None = None,
    ) -> Appended:
        """Append what a body holds: one event, an array, or NDJSON. Parsed once, here.

        Args:
            idempotency_key: makes the ids of events that state none, so that sending the same
                body with the same key again stores nothing twice.
        """
        drafts = parse_body(body, ndjson=ndjson)
        if idempotency_key is not None:
            name_events(drafts, idempotency_key)
        return await self._append(stream_id, drafts, context, expected)

    async def _append(
        self, stream_id: str, drafts: list[Draft], context: RequestContext, expected: str | None
    ) -> Appended:
        self._check_batch(drafts)
        binding = self._bindings.get(context.scope) or await self._bind(context.scope)
        place = binding.place(stream_id)
        request = self._request(binding, stream_id, drafts, stamp_of(context), expected)
        return await binding.host.append(place.key, request)

    def append_json_soon(
        self,
        stream_id: str,
        body: bytes,
        sender: Sender,
        request_id: str,
        done: Done,
        *,
        ndjson: bool = False,
        idempotency_key: str | None = None,
        expected: str | None = None,
    ) -> bool:
        """append_json without a coroutine, where nothing has to be waited for but the disk.

        Returns False, or raises, when nothing was done: the stream is not awake, or event ids have
        to be looked up. Otherwise `done(appended, error)` is called, once, on the loop.
        """
        binding = self._bindings.get(sender.scope)
        if binding is None:
            return False
        drafts = parse_body(body, ndjson=ndjson)
        if idempotency_key is not None:
            name_events(drafts, idempotency_key)
        key, address = binding.places.get(stream_id) or binding.place(stream_id)
        if len(drafts) == 1 and expected is None and is_plain(drafts[0]):
            told, stamp = Told(done), sender.stamp(request_id, plain=True)
            commit = binding.host.submit_plain(
                key, drafts[0], stamp, self._clock.read(), address, told
            )
            if commit is not None:
                told.answer = commit.appended
            return commit is not None
        self._check_batch(drafts)
        request = self._request(binding, stream_id, drafts, sender.stamp(request_id), expected)
        return binding.host.append_soon(key, request, done)

    def _request(
        self,
        binding: Binding,
        stream_id: str,
        drafts: list[Draft],
        stamp: Stamp,
        expected: str | None,
    ) -> Request:
        for draft in drafts:
            if draft.stream_id or draft.routing or draft.metadata:
                metadata = {**stamp.metadata_values, **binding.routing}
                check_stated(draft, stream_id, binding.routing, metadata)
        position = None if expected is None else position_of(expected)
        address = binding.place(stream_id).address
        return Request(drafts, stamp, self._clock.read(), address, position)

    def _check_batch(self, drafts: Sequence[Draft]) -> None:
        if not drafts:
            raise InvalidEvent("there is no event in the request")
        if len(drafts) > self._limits.batch_events_max:
            raise TooLarge(
                f"{len(drafts)} events at once, more than {self._limits.batch_events_max}",
                limit="batch_events_max",
                maximum=self._limits.batch_events_max,
                actual=len(drafts),
            )

    # --- read ---

    async def list_after(
        self,
        stream_id: str,
        after: str | None,
        context: RequestContext,
        *,
        before: str | None = None,
        limit: int | None = None,
        wait_s: float = 0.0,
    ) -> Page:
        """A page of events, always in ascending order; costs the same anywhere in the stream.

        Args:
            after: a cursor, an event id, "latest", or None for the start.
            before: page backwards: the last `limit` events before this position.
            limit: at most so many events; lowered to the operator's maximum.
            wait_s: with nothing there yet, wait so long for the first event.

        Raises:
            CursorGone: the position is not in this stream. Never a silent start from elsewhere.
        """
        limit = self._limits.page_events_default if limit is None else limit
        if limit < 1:
            raise InvalidRequest("limit must be at least 1")
        limit = min(limit, self._limits.page_events_max)
        host, key = await self._locate(stream_id, context)
        if before is not None:
            return await page_before(host, key, context.mode, before, after, limit)
        if wait_s > 0 and host.long_polls >= self._limits.long_polls_max:
            self._refuse_more("long_polls_max", self._limits.long_polls_max)
        wait_s = min(wait_s, self._limits.long_poll_s_max)
        return await page_after(host, key, context.mode, after, limit, wait_s)

    async def head(self, stream_id: str, context: RequestContext) -> Head:
        """Where the stream stands. A stream nobody wrote to stands at sequence 0."""
        host, key = await self._locate(stream_id, context)
        actor = await host.actor(key)
        check_mode(actor, context.mode)
        return Head(actor.head, actor.earliest, actor.closed)

    async def subscribe(
        self, stream_id: str, context: RequestContext, after: str | None = None
    ) -> Subscription:
        """History after a position, then live. Use it as `async with await spine.subscribe(…)`."""
        host, key = await self._locate(stream_id, context)
        if len(host.readers) >= self._limits.subscribers_max:
            self._refuse_more("subscribers_max", self._limits.subscribers_max)
        actor = await host.actor(key)
        check_mode(actor, context.mode)
        sequence = await position(host, actor, after)
        return Subscription(host, actor, context.mode, sequence)

    @staticmethod
    def _refuse_more(limit: str, maximum: int) -> None:
        raise Overloaded(
            f"{maximum} are waiting already", limit=limit, maximum=maximum, retry_after_s=5
        )

    # --- end ---

    async def close_stream(self, stream_id: str, context: RequestContext) -> Head:
        """End of stream: it takes no further event, stays readable, and its readers end."""
        host, key = await self._locate(stream_id, context)
        return await host.close_stream(key, context.mode)

    async def delete_stream(self, stream_id: str, context: RequestContext) -> None:
        """Delete every event of the stream. Its cursors are gone for ever; its id is free."""
        host, key = await self._locate(stream_id, context)
        await host.delete_stream(key, context.mode)

    # --- the whole ---

    def drain(self) -> None:
        """Begin to stop: nothing new is taken, readers are told, accepted appends finish."""
        self._draining = True
        for host in self._hosts:
            host.drain()

    def ready(self) -> dict[str, Any]:
        """Whether every backend in use is open: `{"ready": …, "checks": {name: {ok, detail}}}`."""
        checks = {
            host.name: {"ok": host.store is not None, "detail": host.outage or "open"}
            for host in sorted(self._hosts, key=lambda host: host.name)
        }
        if self._draining:
            checks["process"] = {"ok": False, "detail": "draining"}
        return {"ready": all(check["ok"] for check in checks.values()), "checks": checks}

    def tree(self) -> SupervisorTree:
        """The supervisor tree: states, restarts with causes, budgets left."""
        return self._tree()

    def statistics(self) -> SpineStatistics:
        return SpineStatistics.of(self._hosts, self._tree(), self.routes.list())

    # --- routes to actors ---

    async def _locate(self, stream_id: str, context: RequestContext) -> tuple[StreamHost, str]:
        scope = context.scope
        binding = self._bindings.get(scope) or await self._bind(scope)
        return binding.host, binding.place(stream_id).key

    async def _bind(self, scope: Scope) -> Binding:
        kind, generation = ResourceKind.EVENT_STREAM.value, self._generation
        self.routes.get_route(kind, scope.tenant_id, scope.env, scope.project_id, scope.mode)
        owner = await self._actors.resolve(
            RouteKey(kind, scope.tenant_id, scope.env, scope.project_id, scope.mode)
        )
        routing = {
            "tenant_id": scope.tenant_id,
            "env": scope.env,
            "mode": scope.mode,
            "project_id": scope.project_id,
        }
        binding = Binding(owner.handle, f"{kind}/{scope.path}/", routing, encode_json(routing))
        if len(self._bindings) >= 100_000:
            self._bindings.clear()  # scopes are few; this bounds a client that invents surfaces
        if generation == self._generation:  # else a route changed while this one was resolved
            self._bindings[scope] = binding
        return binding

    async def _route_changed(self, key: RouteKey) -> None:
        await self._actors.changed(key)
        self._generation += 1
        self._bindings.clear()
