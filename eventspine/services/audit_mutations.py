"""`@mutation`: a method of a store that changes something leaves records in the audit (R-27).

    @mutation("tabular_store", "table.write", "table_name", "operations")
    async def write(self, table_name, operations): …

Job: know what is called and with what, for the kinds that `audit.kinds` names; for any other kind
a call costs a look into a set.
Rules: where the audit is strict, the intent is durable before the method runs, and what came of it
follows, queued; else one record follows, queued. A record says names and sizes, never contents: of
the arguments only those that are listed, of bytes and lists only how many.
The cost, where it is strict: one append before each change, which shares its sync with whatever
else waits. Refused: records made of the journals themselves, which do not know who asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence, Sized
from functools import lru_cache, partial, wraps
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar, cast
from uuid import uuid4

from eventspine.contracts.audit import AUDIT_STREAM, audit_event, places
from eventspine.contracts.context import RequestContext, Scope
from eventspine.contracts.errors import EventspineError
from eventspine.contracts.route import ResourceKind
from eventspine.services.audit import Audit

P = ParamSpec("P")
T = TypeVar("T")
Method = Callable[P, Coroutine[Any, Any, T]]
TEXT_MAX = 255
SCOPES_MAX = 10_000


class HasAudit(Protocol):
    """The way from a service to the audit: Journals."""

    audit: Audit | None

    async def place(self, kind: ResourceKind, context: RequestContext) -> object: ...


class Store(Protocol):
    """A service of one scope."""

    _context: RequestContext
    _journals: HasAudit


def mutation(kind: str, action: str, *shown: str) -> Callable[[Method[P, T]], Method[P, T]]:
    """Args: shown: the arguments a record tells of."""

    def decorated(method: Method[P, T]) -> Method[P, T]:
        names = tuple(inspect.signature(method).parameters)

        @wraps(method)
        def call(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
            store = cast(Store, args[0])
            audit = store._journals.audit
            if audit is None or kind not in audit.kinds:
                return method(*args, **kwargs)
            stated = {**dict(zip(names, args, strict=False)), **kwargs}
            told = {name: _told(stated[name]) for name in shown if name in stated}
            context, work = store._context, partial(method, *args, **kwargs)
            place = partial(store._journals.place, ResourceKind(kind), context)
            return _recorded(audit, context, Change(kind, action, told), place, work)

        return call

    return decorated


class Change(NamedTuple):
    """What is done, as a record says it; `told` are names and sizes."""

    kind: str
    action: str
    told: dict[str, Any]


async def recorded(
    audit: Audit | None,
    context: RequestContext,
    change: Change,
    place: Callable[[], Awaitable[object]],
    work: Callable[[], Coroutine[Any, Any, T]],
) -> T:
    """`@mutation` for what is no method of a store over journals.

    Args:
        place: raises what says that it cannot be done at all; asked before the intent is kept.
    """
    if audit is None or change.kind not in audit.kinds:
        return await work()
    return await _recorded(audit, context, change, place, work)


async def _recorded(
    audit: Audit,
    context: RequestContext,
    change: Change,
    place: Callable[[], Awaitable[object]],
    work: Callable[[], Coroutine[Any, Any, T]],
) -> T:
    kind, action, told = change
    strict = audit.is_strict(context.mode)
    pair = {"change": uuid4().hex} if strict else {}  # its outcome may be lost, and is looked for

    def event(phase: str, output: dict[str, Any] | None = None) -> dict[str, Any]:
        by = {} if context.user_id is None else {"by": context.user_id}
        metadata = {"phase": phase, **pair, "surface_id": context.surface_id, **by}
        return audit_event(context, action, kind, metadata, told, output)

    try:
        if strict:  # after the question whether there is a store at all
            await place()
            await audit.record(places(context), event("intent"), action)
        answer = await work()
    except BaseException as error:
        code = error.code if isinstance(error, EventspineError) else type(error).__name__
        audit.queue.post(_scopes(context), AUDIT_STREAM, event("failed", {"error": code}))
        raise
    audit.queue.post(_scopes(context), AUDIT_STREAM, event("done"))
    return answer


def _scopes(context: RequestContext) -> Sequence[RequestContext]:
    return _scopes_of(context.scope)


@lru_cache(SCOPES_MAX)
def _scopes_of(scope: Scope) -> Sequence[RequestContext]:
    """Kept, since checking two contexts costs more than the record does."""
    found = places(RequestContext(**scope._asdict()))
    return tuple(RequestContext(**place.scope._asdict()) for place in found)


def _told(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:TEXT_MAX]
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": len(value)}
    return {"items": len(value)} if isinstance(value, Sized) else type(value).__name__
