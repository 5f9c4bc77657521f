"""A TCP proxy that resets every connection again and again, in the middle of whatever they carry.

Cuts are made by bytes, not by time: after a seeded number of bytes in both directions together
all connections are reset at once (RST, so no side sees a polite end), until `cuts_max` is reached.
What was read from one side and not yet handed to the other is lost, as on a real network.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from typing import Self

_PIECE_BYTES = 4096
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends RST


class CuttingProxy:
    """Runs in a thread of its own: `with CuttingProxy(port, …) as proxy: proxy.url`."""

    def __init__(
        self,
        target_port: int,
        *,
        seed: int,
        cuts_max: int,
        bytes_between: tuple[int, int] = (12_000, 40_000),
    ) -> None:
        self.cuts = 0
        self.connections = 0
        self._target_port = target_port
        self._rng = random.Random(seed)
        self._cuts_max = cuts_max
        self._bytes_between = bytes_between
        self._budget = self._next_budget()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cutting proxy", daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        self._reset_all()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(writer)
            return
        self.connections += 1
        self._writers |= {writer, up_writer}
        await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
        self._writers -= {writer, up_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(_PIECE_BYTES):
                self._budget -= len(piece)
                if self._budget <= 0 and self.cuts < self._cuts_max:
                    writer.write(piece[: self._rng.randrange(len(piece))])  # half of it gets there
                    self._cut()
                    return
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def _cut(self) -> None:
        self.cuts += 1
        self._budget = self._next_budget()
        self._reset_all()

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            _reset(writer)
        self._writers.clear()

    def _next_budget(self) -> int:
        return self._rng.randint(*self._bytes_between)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
