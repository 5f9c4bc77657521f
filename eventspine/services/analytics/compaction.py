"""Compaction: what comes in is put aside as segments while it comes, dataset by dataset.

Job: a service below the supervisor, so that the first question after a large import need not do it.
Rules: one dataset at a time; one is looked at when as many events have come as a segment holds.
What fails is logged and left to the next time, or to the next question, which does the same.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventspine.actors.host import StreamHost
from eventspine.contracts.errors import EventspineError, ExtraMissing
from eventspine.services.analytics.room import AnalyticsRoom

log = logging.getLogger(__name__)
DATASETS_MAX = 65_536


class _Dataset(NamedTuple):
    host: StreamHost
    key: str
    mode: str


class Compaction:
    """Args: room: what makes the segments."""

    def __init__(self, room: AnalyticsRoom) -> None:
        self._room = room
        self._enough = room.limits.analytics_segment_events
        self._came: dict[_Dataset, int] = {}
        self._due: dict[_Dataset, None] = {}
        self._wake = anyio.Event()
        self.busy = False

    def came(self, host: StreamHost, key: str, mode: str, events: int) -> None:
        """So many events have come into a dataset."""
        if len(self._came) >= DATASETS_MAX:
            self._came.clear()
        dataset = _Dataset(host, key, mode)
        count = self._came[dataset] = self._came.get(dataset, 0) + events
        if count >= self._enough:
            del self._came[dataset]
            self._due[dataset] = None
            self.busy = True
            self._wake.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        task_status.started()
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._due:
                dataset = next(iter(self._due))
                del self._due[dataset]
                await self._compact(dataset)
            self.busy = False

    async def _compact(self, dataset: _Dataset) -> None:
        try:
            await self._room.compact(*dataset)
        except ExtraMissing:
            return  # whoever asks a question is told what to install
        except EventspineError as error:
            log.warning("%s: not compacted: %s", dataset.key, error)
