"""Concurrent clients that replay recordings, talk in one stream together, and read along live.

Rules: everything a client is about to send is in the history before it is sent, every answer right
after it came; an id is sent again until it is answered, and now and then once more.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import anyio
import httpx
import orjson
from anyio.abc import TaskGroup

from eventspine.client import EventspineClient, RetryPolicy
from eventspine.client.replay.ledger import Acknowledged
from eventspine.client.replay.recording import Recording
from eventspine.client.replay.sender import Sender, SendOptions, encode_batch
from tests.torture.history import History, digest_of
from tests.torture.readers import RawReader, follow_by_client
from tests.torture.recordings import Library

LOBBY = "lobby"
LONG_EVENTS = 20_000
PATIENT = RetryPolicy(patience_s=90.0, first_s=0.02, longest_s=0.2)


class Workload:
    """`stopping` ends it: streams under way are sent to their end, closed, and read to it."""

    def __init__(self, url: str, seed: int, *, senders: int = 5, talkers: int = 3) -> None:
        self.url = url
        self.history = History()
        self.library = Library(seed)
        self.stopping = False
        self.done: list[Recording] = []
        self.readers: list[RawReader] = []
        self.client_readers = 0
        self.resent = 0
        self.duplicates = 0
        self._rng = random.Random(f"workload {seed}")
        self._senders, self._talkers = senders, talkers
        self.client = EventspineClient(url, retry=PATIENT, timeout_s=15.0, connections_max=200)
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(20.0, connect=5.0, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            trust_env=False,
        )

    async def run(self) -> None:
        """Until stopped, and every reader has reached the end of its stream."""
        async with anyio.create_task_group() as group:
            self._follow(group, LOBBY)
            group.start_soon(self._talk_together)
            group.start_soon(self._send_long, group)
            for _ in range(self._senders):
                group.start_soon(self._send_recordings, group)

    async def aclose(self) -> None:
        await self._http.aclose()
        await self.client.aclose()

    @property
    def active(self) -> list[str]:
        """Streams with something in them, the long ones left out."""
        known = self.history.streams.items()
        return [name for name, stream in known if stream.acknowledged and stream.sent_count < 2000]

    # --- recordings ---

    async def _send_recordings(self, group: TaskGroup) -> None:
        while not self.stopping:
            recording = self.library.take(600)
            self._will_send(recording)
            if self._rng.random() < 0.5:
                self._follow(group, recording.stream_id)
            options = SendOptions(batch=self._rng.randrange(1, 30))
            await Sender(self.client, options, on_ack=self._acknowledged).send_recording(recording)
            await self._send_again(recording)
            await self.client.close_stream(recording.stream_id)
            self.done.append(recording)

    def _will_send(self, recording: Recording) -> None:
        events = recording.events
        self.history[recording.stream_id].will_send(
            recording.stream_id,
            [
                (recording.event_id(n), digest_of(event.event_type, event.payload))
                for n, event in enumerate(events)
            ],
        )

    def _acknowledged(self, answers: Sequence[Acknowledged]) -> None:
        for answer in answers:
            self.history[answer.stream_id].acknowledge(answer.event_id, answer.cursor.sequence)

    async def _send_again(self, recording: Recording) -> None:
        """A piece of what is stored already: it must be answered with the same sequences."""
        start = self._rng.randrange(len(recording.events))
        await self._send_piece(recording, start, start + self._rng.randrange(1, 20))
        self.resent += 1

    async def _send_piece(self, recording: Recording, start: int, end: int) -> None:
        ids = [recording.event_id(n) for n in range(start, min(end, len(recording.events)))]
        body = encode_batch(recording, start, ids)
        answer = await self.client.append_body(recording.stream_id, body, ndjson=True, minimal=True)
        self.duplicates += answer.duplicates
        for event_id, cursor in zip(ids, answer.cursors, strict=True):
            self.history[recording.stream_id].acknowledge(event_id, cursor.sequence)

    async def _send_long(self, group: TaskGroup) -> None:
        """One canvas that grows through all faults; its end is wherever it was stopped."""
        recording = self.library.canvas(LONG_EVENTS)
        self._will_send(recording)
        self._follow(group, recording.stream_id)
        start = 0
        while not self.stopping and start < len(recording.events):
            end = min(start + self._rng.randrange(1, 12), len(recording.events))
            await self._send_piece(recording, start, end)
            start = end
        await self.client.close_stream(recording.stream_id)
        self.done.append(Recording(recording.stream_id, "canvas", recording.events[:start]))

    # --- several clients in one stream ---

    async def _talk_together(self) -> None:
        async with anyio.create_task_group() as group:
            for number in range(self._talkers):
                group.start_soon(self._talk, f"talker-{number}")
        await self.client.close_stream(LOBBY)

    async def _talk(self, name: str) -> None:
        number = 0
        while not self.stopping:
            count = self._rng.choice([1, 1, 1, 2, 5])
            events = [_said(name, n) for n in range(number, number + count)]
            stream = self.history[LOBBY]
            stream.will_send(
                name,
                [
                    (str(event["event_id"]), digest_of("said", orjson.dumps(event["payload"])))
                    for event in events
                ],
            )
            answer = await self.client.append(LOBBY, events, minimal=True)
            for event, cursor in zip(events, answer.cursors, strict=True):
                stream.acknowledge(str(event["event_id"]), cursor.sequence)
            number += count
            await anyio.sleep(self._rng.uniform(0, 0.02))

    # --- reading along ---

    def _follow(self, group: TaskGroup, stream_id: str) -> None:
        if self._rng.random() < 0.3 and stream_id != LOBBY:
            name = f"tail {stream_id}"
            group.start_soon(follow_by_client, self.client, stream_id, self.history, name)
            self.client_readers += 1
            return
        reader = RawReader(self.url, stream_id, self.history, f"sse {stream_id}")
        self.readers.append(reader)
        group.start_soon(reader.follow, self._http)


def _said(name: str, number: int) -> dict[str, object]:
    payload = {"by": name, "n": number, "text": "what I said" + "!" * (number % 300)}
    return {"event_id": f"{name}-{number}", "event_type": "said", "payload": payload}
