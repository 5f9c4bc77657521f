"""What lookups, pages and subscriptions need of the host they run in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from eventspine.actors.audience import Later, Reader
from eventspine.actors.stream import StreamActor
from eventspine.contracts.limits import Limits
from eventspine.contracts.stores import EventStreamStore
from eventspine.runtime.directory import Directory
from eventspine.runtime.permits import Permits
from eventspine.runtime.ticket import Ticket


class HostView(Protocol):
    """StreamHost, as its parts see it: so that they do not import what imports them."""

    limits: Limits
    new_ticket: Callable[[], Ticket[Any]]
    later: Later
    readers: set[Reader]
    long_polls: int
    catching_up: Permits
    draining: bool
    directory: Directory[StreamActor]

    def successor(self, key: str, mode: str) -> HostView: ...
    def open_store(self) -> EventStreamStore: ...
    async def actor(self, key: str) -> StreamActor: ...
