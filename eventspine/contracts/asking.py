"""Who asks for what has no RequestContext: a change of the routing registry, a look at a route.

Job: let an edge say whose request it is (`asked_by`), so that the audit of what the request does
names it. It holds for the task that says it, and for nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Asking(NamedTuple):
    """The ids of a request, as far as it has them. They are checked by whoever states them."""

    user_id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    actor_type: str | None = None


NOBODY = Asking()
_asking: ContextVar[Asking] = ContextVar("eventspine_asking", default=NOBODY)


def asking() -> Asking:
    """Who asks in this task."""
    return _asking.get()


@contextmanager
def asked_by(who: Asking) -> Iterator[None]:
    token = _asking.set(who)
    try:
        yield
    finally:
        _asking.reset(token)
