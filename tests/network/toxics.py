"""A TCP proxy that does to a connection what networks do to it.

Job: carry bytes between a client and the server, each way under a `Toxic` of its own.
Rules: on a thread of its own with a loop of its own, so that any client can use it; a connection
asks `plan` for its two toxics when it begins, and `hold` may be changed while it lasts; what is
cut is cut with RST on both sides, and is counted.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import trio

WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Toxic:
    """What happens to the bytes of one way.

    Attributes:
        slice_bytes: hand them on in pieces of this size, each in a packet of its own.
        pause_s: before each piece.
        reset_after: after so many bytes both sides get an RST.
        end_after: after so many bytes both sides get a FIN, as from a proxy that gives up.
    """

    slice_bytes: int = 1 << 16
    pause_s: float = 0.0
    reset_after: float = math.inf
    end_after: float = math.inf


CLEAN = Toxic()
Plan = Callable[[int], tuple[Toxic, Toxic]]


def always(up: Toxic = CLEAN, down: Toxic = CLEAN) -> Plan:
    """The same for every connection: `up` to the server, `down` to the client."""
    return lambda number: (up, down)


class Proxy:
    """`with Proxy(port_of_the_server) as proxy`, then connect to `proxy.port`."""

    def __init__(self, server_port: int, plan: Plan | None = None) -> None:
        self.port = 0
        self.plan = plan or always()
        self.connections = 0
        self.cuts = 0
        self.hold = False  # take everything, hand on nothing: the line is dead and nobody is told
        self._server_port = server_port
        self._lines: set[_Line] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,), daemon=True)
        self._token: trio.lowlevel.TrioToken
        self._scope: trio.CancelScope

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(WAIT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def reset_all(self) -> None:
        """RST to both sides of every connection there is."""
        trio.from_thread.run_sync(self._reset_all, trio_token=self._token)

    def _reset_all(self) -> None:
        for line in tuple(self._lines):
            line.reset()

    async def _main(self) -> None:
        async with trio.open_nursery() as nursery:
            serve = trio.serve_tcp
            listeners = await nursery.start(
                lambda task_status: serve(self._carry, 0, host="127.0.0.1", task_status=task_status)
            )
            self.port = listeners[0].socket.getsockname()[1]
            self._token = trio.lowlevel.current_trio_token()
            self._scope = nursery.cancel_scope
            self._started.set()

    async def _carry(self, client: trio.SocketStream) -> None:
        self.connections += 1
        up, down = self.plan(self.connections)
        try:
            server = await trio.open_tcp_stream("127.0.0.1", self._server_port)
        except OSError:
            await client.aclose()
            return
        line = _Line(client, server)
        self._lines.add(line)
        try:
            async with client, server, trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, client, server, up, line)
                nursery.start_soon(self._pump, server, client, down, line)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            line.reset()  # what one side does, the other one feels
        finally:
            self._lines.discard(line)

    async def _pump(
        self, source: trio.SocketStream, target: trio.SocketStream, toxic: Toxic, line: _Line
    ) -> None:
        carried = 0
        while data := await source.receive_some(1 << 16):
            while self.hold:  # noqa: ASYNC110 - set from another thread
                await trio.sleep(0.01)
            for piece in _pieces(data, toxic, carried):
                if toxic.pause_s:
                    await trio.sleep(toxic.pause_s)
                if not line.ended:
                    await target.send_all(piece)
                carried += len(piece)
            if carried >= toxic.reset_after:
                self.cuts += 1
                line.reset()
                raise trio.ClosedResourceError
            if carried >= toxic.end_after and not line.ended:
                self.cuts += 1
                line.end()
        line.say_end(target)


class _Line:
    """The two connections of one client."""

    def __init__(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        self.sides = (client, server)
        self.ended = False

    def end(self) -> None:
        """FIN to both; what still comes is thrown away."""
        for side in self.sides:
            self.say_end(side)
        self.ended = True

    def say_end(self, side: trio.SocketStream) -> None:
        if not self.ended and side.socket.fileno() >= 0:
            with contextlib.suppress(OSError):
                side.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        for side in self.sides:
            if side.socket.fileno() >= 0:
                linger = struct.pack("ii", 1, 0)
                side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                side.socket.close()


def _pieces(data: bytes, toxic: Toxic, carried: int) -> list[bytes]:
    """`data` in pieces, as much of it as gets through."""
    left = min(toxic.reset_after, toxic.end_after) - carried
    through = data if left >= len(data) else data[: int(left)]
    size = toxic.slice_bytes
    return [through[at : at + size] for at in range(0, len(through), size)]
