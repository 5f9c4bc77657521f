"""The endpoints of switches: a route moves to another backend with everything behind it.

`/v1/routes/{kind}/{tenant}/{env}/{project}/{mode}/switch` is the open or the last switch of a
route; POST starts one, and POST to one of its steps below that takes the step. Every answer is the
switch, with its `next_steps`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import query
from eventspine.api.address import RawRoute, raw_path
from eventspine.api.answer import NO_STORE, Answer, json_answer
from eventspine.api.call import Call
from eventspine.api.problem import problem
from eventspine.api.routing.asked import asked
from eventspine.api.routing.parts import (
    changed_by,
    json_members,
    key_of,
    modelled,
    reason_of,
)
from eventspine.api.routing.switch_described import STEPS, SWITCH_PATH
from eventspine.api.service import SpineService
from eventspine.contracts.errors import BackendRefusedInMode
from eventspine.contracts.route import RouteKey
from eventspine.contracts.switch import Place, Switch

Step = Callable[[RouteKey, str | None], Awaitable[Switch]]


class SwitchEndpoints:
    def __init__(self, spine: SpineService) -> None:
        self._switches = spine.switches
        self._bytes_max = spine.settings.limits.body_bytes_max

    def routes(self) -> list[BaseRoute]:
        steps = {
            "run": lambda key, by: self._switches.copy(key),
            "verify": lambda key, by: self._switches.verify(key),
            "switch": self._switches.switch,
            "reverse": self._switches.reverse,
            "finish": lambda key, by: self._switches.finish(key),
            "cancel": lambda key, by: self._switches.cancel(key),
        }
        assert steps.keys() == STEPS.keys(), "what is described is what there is"
        return [
            RawRoute("/v1/routes/switches", {"GET": self.list}),
            RawRoute(SWITCH_PATH, {"GET": self.get, "POST": asked(self.start)}),
            *(
                RawRoute(f"{SWITCH_PATH}/{name}", {"POST": asked(_taking(step))})
                for name, step in steps.items()
            ),
        ]

    async def list(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        found = [switch.shown() for switch in self._switches.list()]
        return json_answer(200, {"switches": found}, [NO_STORE])

    async def get(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        return _answer(200, self._switches.get(key_of(call)))

    async def start(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        key, by = key_of(call), changed_by(call.fields)
        members = await json_members(call, self._bytes_max)
        reason = reason_of(members)
        members.pop("reason", None)
        try:
            switch = await self._switches.start(key, modelled(Place, members), by, reason)
        except BackendRefusedInMode as error:
            # here the operator is the caller, and the backend is what is wrong
            instance = raw_path(call.scope).decode("latin-1")
            return problem(error, instance, call.request_id, status=422)
        return _answer(201, switch)


def _taking(step: Step) -> Callable[[Call], Awaitable[ASGIApp]]:
    async def take(call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        return _answer(200, await step(key_of(call), changed_by(call.fields)))

    return take


def _answer(status: int, switch: Switch) -> Answer:
    return json_answer(status, switch.shown(), [NO_STORE])
