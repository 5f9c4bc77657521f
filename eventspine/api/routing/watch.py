"""The registry over SSE: every change after a revision, or everything anew when that is gone.

    id: 12
    data: {"revision":12,"action":"update",...}

Job: an id is a revision, so Last-Event-ID resumes. `reload` carries all routes: it comes first
when no revision is given, and in the place of changes that are not at hand any more. After it a
client MUST forget the routes it knew. `switch` carries a switch that was started or has changed,
with its `next_steps`; without a revision, those that are open come first. `end` says why there is
no more, as for streams.
"""

from __future__ import annotations

from datetime import datetime

import anyio
import orjson
from starlette.types import Receive, Scope, Send

from eventspine.api.call import Call
from eventspine.api.live import sse
from eventspine.api.live.tail import Patience, carry, end_frame, start
from eventspine.api.service import SpineService
from eventspine.contracts.route_change import RouteChange


class RouteWatch:
    """The answer to GET /v1/routes/watch."""

    def __init__(self, spine: SpineService, call: Call, revision: int | None) -> None:
        self._routes, self._limits = spine.routes, spine.settings.limits
        self._call, self._revision = call, revision
        self._switches = spine.switches
        self._notices = 0
        self._known = {} if revision is None else self._switch_times()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._send = send
        await carry(self._call, receive, self)

    async def run(self, scope: anyio.CancelScope) -> None:
        patience = Patience(scope, self._limits)
        patience.renew()
        await start(self._send, self._news())
        while not self._routes.history.ended:
            patience.renew()
            with anyio.move_on_after(self._limits.heartbeat_s):
                await self._routes.history.wait(self._revision or 0, self._notices)
            frames = self._news() or sse.HEARTBEAT
            await self._send({"type": "http.response.body", "body": frames, "more_body": True})
        last = end_frame("draining", True, str(self._revision))
        await self._send({"type": "http.response.body", "body": last})

    def _news(self) -> bytes:
        """What the client does not have yet; moves its revision on."""
        return self._rows() + self._switch_news()

    def _switch_times(self) -> dict[str, datetime]:
        return {switch.id: switch.updated_at for switch in self._switches.list()}

    def _switch_news(self) -> bytes:
        """The switches that have changed; of those that were there already, the open ones."""
        self._notices = self._routes.history.notices
        before, self._known = self._known, self._switch_times()
        return b"".join(
            sse.control("switch", switch.shown(), str(self._revision))
            for switch in reversed(self._switches.list())
            if switch.updated_at != before.get(switch.id) and (switch.is_open or before)
        )

    def _rows(self) -> bytes:
        seen = self._revision
        changes = None if seen is None else self._routes.history.since(seen)
        self._revision = self._routes.revision
        if changes is not None:
            return b"".join(map(_frame, changes))
        routes = [route.model_dump(mode="json") for route in self._routes.list()]
        members = {"revision": self._revision, "requested": seen, "routes": routes}
        return sse.control("reload", members, str(self._revision))


def _frame(change: RouteChange) -> bytes:
    return sse.event(orjson.dumps(change.model_dump(mode="json")), str(change.revision))
