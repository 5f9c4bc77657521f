"""One active stream with its directory and its writer, and no thread: nothing moves by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from eventspine.actors.append import Stamp
from eventspine.actors.compiled import short_way
from eventspine.actors.stream import Commit, StreamActor
from eventspine.contracts.limits import Limits
from eventspine.contracts.stores import StreamHead
from eventspine.runtime.directory import Directory
from eventspine.runtime.writer import Writer
from eventspine.services.envelope import Place

KEY = "event_stream/t/e/_/s"
PLACE = Place(KEY, b'"stream_id":"s","routing":{"tenant_id":"t"},')
STAMP = Stamp("lab", b'{"request_id":"r"}', {"request_id": "r"})
PLAIN: dict[str, Any] = {"event_type": "t", "payload": {"n": 1}}


class Standing:
    def __init__(self, **limits: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.limits = Limits(**limits)
        self.loop.run_until_complete(self._open())
        self.actor = self.wake(KEY)

    async def _open(self) -> None:
        self.directory: Directory[StreamActor] = Directory("test", _never)
        self.writer: Writer[Commit] = Writer(
            lambda batch: None,
            name="test",
            bytes_waiting_max=self.limits.commit_bytes_waiting_max,
        )
        self.writer._open = True
        make_ticket = asyncio.get_running_loop().create_future
        self.short = short_way(self.directory, self.writer, make_ticket, self.limits)

    def wake(self, key: str, mode: str = "lab") -> StreamActor:
        population = self.directory._population
        actor = StreamActor(key, StreamHead(epoch=1, sequence=0, mode=mode))
        population.settle(population.add(key), actor)
        return actor

    def submit(self, event: Any = PLAIN, place: Any = PLACE, stamp: Any = STAMP) -> Any:
        return self.short.submit(place, event, stamp)

    def take(self) -> list[Commit]:
        """What the writer's thread would have got."""
        taken, self.writer._outbox = self.writer._outbox, []
        self.writer._bytes_waiting -= sum(commit.size for commit in taken)
        return taken

    def state(self) -> tuple[object, ...]:
        """All that an append changes."""
        actor, writer = self.actor, self.writer
        pending = None if actor.pending is None else list(actor.pending)
        return (
            *(actor.sequence, actor.committed, actor.mode, pending),
            *(list(writer._outbox), writer._bytes_waiting, self.short.taken),
        )

    def turn(self) -> None:
        """One pass of the loop; nothing is handed to the writer that was taken before."""
        self.loop.run_until_complete(asyncio.sleep(0))

    def close(self) -> None:
        self.take()
        self.turn()
        self.loop.close()


async def _never(key: str) -> StreamActor:
    raise AssertionError(f"{key} is not woken")


def payload_of(line: bytes) -> Any:
    return orjson.loads(line)["payload"]
