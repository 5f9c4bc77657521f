"""What can be told of an intent whose outcome was lost, by the action that was intended.

A change of routes is in the history of the registry or it is not. A stream that is closed, or gone,
is what was intended; one that is neither may have been written anew since, so nothing is known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from eventspine.contracts.answers import Head
from eventspine.contracts.audit_outcome import APPLIED, NOT_APPLIED, UNKNOWN, Intent, Known
from eventspine.contracts.context import RequestContext
from eventspine.services.audit import unaudited
from eventspine.services.audit_outcomes import Find
from eventspine.services.routing.history import RouteHistory

HeadOf = Callable[[str, RequestContext], Awaitable[Head]]


def finders_of_routes(history: RouteHistory) -> dict[str, Find]:
    async def update(intent: Intent, scope: RequestContext) -> Known:
        revision = intent.metadata["revision_after"]
        newest = await history.entries({}, revision + 1, 1)
        for change in newest:
            if change.revision == revision and change.at.isoformat() == intent.metadata["at"]:
                return APPLIED._replace(output={**APPLIED.output, "revision": revision})
        return NOT_APPLIED

    return {"routing.update": update}


def finders_of_streams(head_of: HeadOf) -> dict[str, Find]:
    async def head(intent: Intent, scope: RequestContext) -> Head:
        with unaudited():
            return await head_of(str(intent.input["stream_id"]), scope)

    async def close(intent: Intent, scope: RequestContext) -> Known:
        return APPLIED if (await head(intent, scope)).closed else UNKNOWN

    async def delete(intent: Intent, scope: RequestContext) -> Known:
        return UNKNOWN if (await head(intent, scope)).cursor.sequence else APPLIED

    return {"stream.close": close, "stream.delete": delete}
