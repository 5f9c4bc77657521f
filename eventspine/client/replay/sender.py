"""Sends recordings over HTTP: streams side by side, the events of each in order.

Rules: one request in flight per stream, because two could change places on their way; every event
has an id derived from its place in the recording, so a retry, and the whole replay run again, adds
nothing. A server that is killed in the middle costs waiting, bounded by the client's patience.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import orjson

from eventspine.client.client import EventspineClient
from eventspine.client.replay.dataset import read_source
from eventspine.client.replay.ledger import (
    Acknowledged,
    OnAck,
    OnFound,
    OnProgress,
    SendLedger,
    SendSummary,
    nobody,
    nobody_asked,
)
from eventspine.client.replay.pacing import Pace
from eventspine.client.replay.recording import Recording, Source
from eventspine.contracts.answers import Appended

_BODY_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SendOptions:
    """`clients`: streams sent at once (None: all). `batch`: most events of one request."""

    clients: int | None = None
    batch: int = 100
    pace: Pace = field(default_factory=Pace)
    prefix: str = ""
    events_max: int | None = None  # of each stream


class Sender:
    """Sends every source; `on_ack` is called with each answered batch before the next is sent."""

    def __init__(
        self,
        client: EventspineClient,
        options: SendOptions,
        *,
        on_ack: OnAck | None = None,
        on_progress: OnProgress = nobody,
        on_found: OnFound = nobody_asked,
    ) -> None:
        self._client = client
        self._options = options
        self._on_ack = on_ack
        self._on_progress = on_progress
        self._on_found = on_found
        self._ledger = SendLedger()

    async def send(self, sources: Sequence[Source]) -> SendSummary:
        """Send them all. The first failure that patience does not cover stops the others."""
        ledger = self._ledger
        retries = self._client.statistics().retries
        ledger.started_s = anyio.current_time()
        waiting = list(reversed(sources))
        workers = min(len(waiting), self._options.clients or len(waiting))
        async with anyio.create_task_group() as group:
            for _ in range(workers):
                group.start_soon(self._work, waiting)
        ledger.ended_s = anyio.current_time()
        ledger.retries = self._client.statistics().retries - retries
        return ledger.summary()

    async def _work(self, waiting: list[Source]) -> None:
        while waiting:
            source = waiting.pop()
            recording = await anyio.to_thread.run_sync(read_source, source, self._options.prefix)
            recording = recording.first(self._options.events_max)
            self._on_found(len(recording.events))
            await self.send_recording(recording)

    async def send_recording(self, recording: Recording) -> None:
        """Send one stream, at the pace of the options."""
        self._ledger.streams += 1
        pace, events = self._options.pace, recording.events
        started = anyio.current_time()
        start = 0
        while start < len(events):
            due = started + pace.due_s(events[start].at_s)
            if due > anyio.current_time():
                await anyio.sleep_until(due)
            now_s = anyio.current_time() - started
            end = pace.batch_end(events, start, now_s, self._options.batch, _BODY_BYTES_MAX)
            await self._send_batch(recording, start, end)
            start = end

    async def _send_batch(self, recording: Recording, start: int, end: int) -> None:
        ids = [recording.event_id(index) for index in range(start, end)]
        body = encode_batch(recording, start, ids)
        asked = anyio.current_time()
        appended = await self._client.append_body(
            recording.stream_id, body, ndjson=True, minimal=True
        )
        ledger = self._ledger
        ledger.latencies_s.append(anyio.current_time() - asked)
        ledger.events += len(ids)
        ledger.bytes += len(body)
        ledger.requests += 1
        ledger.duplicates += appended.duplicates
        if self._on_ack is not None:
            self._on_ack(_acknowledged(recording.stream_id, start, ids, appended))
        self._on_progress(recording.stream_id, len(ids))


def _acknowledged(
    stream_id: str, start: int, ids: Sequence[str], appended: Appended
) -> list[Acknowledged]:
    return [
        Acknowledged(stream_id, index, event_id, cursor)
        for index, (event_id, cursor) in enumerate(zip(ids, appended.cursors, strict=True), start)
    ]


def encode_batch(recording: Recording, start: int, ids: Sequence[str]) -> bytes:
    """The NDJSON body of the events from `start` on, with these ids."""
    return b"".join(
        [
            b'{"event_id":%b,"event_type":%b,"payload":%b}\n'
            % (_json(event_id), _json(event.event_type), event.payload)
            for event_id, event in zip(ids, recording.events[start : start + len(ids)], strict=True)
        ]
    )


def _json(value: Any) -> bytes:
    return orjson.dumps(value)
