"""The appending half of Spine: events in, as values or as a body, acknowledged when on disk."""

from __future__ import annotations

from collections.abc import Sequence

from anyio.lowlevel import checkpoint

from eventspine.actors.append import Stamp, check_stated
from eventspine.actors.host import Request
from eventspine.actors.stream import Commit
from eventspine.actors.told import Done, Told
from eventspine.contracts.answers import Appended
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import BackendError, InvalidEvent, OwnerError, TooLarge
from eventspine.contracts.limits import Limits
from eventspine.contracts.wire import Draft, WallClock, parse_body
from eventspine.runtime.ticket import Ticket
from eventspine.services.bindings import Binding, Bindings
from eventspine.services.envelope import (
    Event,
    is_plain,
    name_events,
    position_of,
    stamp_of,
    to_draft,
)
from eventspine.services.sender import Sender


class Appending:
    def __init__(self, bindings: Bindings, limits: Limits) -> None:
        self._bindings = bindings
        self._limits = limits
        self._clock = WallClock()

    async def append(
        self,
        stream_id: str,
        event: Event,
        context: RequestContext,
        *,
        expected: str | None = None,
    ) -> Appended:
        """Append one event; answered when it is on disk. See append_batch."""
        if expected is None:
            binding = self._bindings.known.get(context.scope)
            if binding is not None and binding.host.short is not None:
                short, place = binding.host.short, binding.places.get(stream_id)
                commit = short.submit(place, event, stamp_of(context)) if place else None
                if commit is not None:
                    await commit.ticket
                    answer: Appended = short.answer(commit)
                    return answer
        draft = to_draft(event)
        try:
            commit = self.submit(stream_id, draft, context) if expected is None else None
        except (BackendError, OwnerError):
            await checkpoint()  # who tries again at once must let others run
            raise
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
        binding = self._bindings.known.get(context.scope)
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

        async def work(at: Binding) -> Appended:
            request = self._request(at, stream_id, drafts, stamp_of(context), expected)
            return await at.host.append(at.place(stream_id).key, request)

        try:
            return await self._bindings.at_its_host(context.scope, work)
        except (BackendError, OwnerError):
            await checkpoint()
            raise

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
        binding = self._bindings.known.get(sender.scope)
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
