"""`asked`: tells the audit whose request looks at routes or changes them; they have no context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp

from eventspine.api.call import Call
from eventspine.api.context import stated_trace_id
from eventspine.api.routing.parts import changed_by
from eventspine.contracts.asking import Asking, asked_by

Endpoint = Callable[[Call], Awaitable[ASGIApp]]


def asked(endpoint: Endpoint) -> Endpoint:
    """The endpoint, in the name of who sends the request."""

    async def named(call: Call) -> ASGIApp:
        traceparent = call.fields.text(b"traceparent")
        trace_id = None if traceparent is None else stated_trace_id(traceparent)
        with asked_by(Asking(changed_by(call.fields), call.request_id, trace_id)):
            return await endpoint(call)

    return named
