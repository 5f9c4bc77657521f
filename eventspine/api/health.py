"""Is the process up, is it ready, what are its numbers."""

from __future__ import annotations

import dataclasses

from starlette.types import ASGIApp

from eventspine.api.answer import NO_STORE, Answer, json_answer
from eventspine.api.call import Call
from eventspine.api.metrics import MEDIA_TYPE, Metrics
from eventspine.api.service import SpineService


class HealthEndpoints:
    def __init__(self, spine: SpineService, metrics: Metrics) -> None:
        self._spine, self._metrics = spine, metrics

    async def alive(self, call: Call) -> ASGIApp:
        """The process answers; nothing else is looked at, so a slow disk restarts nobody."""
        return json_answer(200, {"alive": True}, [NO_STORE])

    async def ready(self, call: Call) -> ASGIApp:
        report = dict(self._spine.ready())
        return json_answer(200 if report["ready"] else 503, report, [NO_STORE])

    async def supervisor(self, call: Call) -> ASGIApp:
        """What runs, what was restarted and why (`causes`), and what may still be."""
        return json_answer(200, dataclasses.asdict(self._spine.tree()), [NO_STORE])

    async def metrics(self, call: Call) -> ASGIApp:
        return Answer(200, self._metrics.exposition(), MEDIA_TYPE, [NO_STORE])
