"""The HTTP server: uvicorn on uvloop with our protocol, and a stop that really stops.

uvicorn alone waits for ever for an endless SSE answer. Here a stop closes the door, lets the spine
tell its readers (`end`, reason draining, with `retry:`), lets accepted appends finish, and after
`drain_s_max` cuts what is left. A second signal cuts at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable

from starlette.types import ASGIApp
from uvicorn.server import Server

from eventspine.api.front import Front
from eventspine.api.lane.protocol import LaneConfig, LaneProtocol
from eventspine.api.protocol import EdgeConfig, EdgeProtocol
from eventspine.contracts.limits import Limits

log = logging.getLogger("eventspine.server")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_POLL_S = 0.02


async def serve(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    limits: Limits,
    drain: Callable[[], object] = lambda: None,
    on_started: Callable[[str, int], object] = lambda host, port: None,
    stop: asyncio.Event | None = None,
    sock: socket.socket | None = None,
    handle_signals: bool = True,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`; then drain and return.

    Args:
        drain: called once when the stop begins; readers must end soon after.
        on_started: called with the address when connections are taken.
        sock: listen on this bound socket instead of host and port.
    """
    lanes = app.lanes if isinstance(app, Front) else None
    config = LaneConfig(
        app,
        http=EdgeProtocol if lanes is None else LaneProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=max(int(limits.keep_alive_s), 1),
        backlog=4096,
    )
    config.limits = limits
    if lanes is not None:
        config.lanes = lanes
    listening = sock or _bound(host, port)
    _bind_peers(listening, limits)
    server = EdgeServer(config, drain)
    stop = asyncio.Event() if stop is None else stop
    if handle_signals:
        server.take_signals(stop)
    try:
        await server.run_until(stop, listening, on_started)
    finally:
        server.leave_signals()


def run(coroutine_function: Callable[[], object]) -> None:
    """Run `serve` (or what contains it) on uvloop."""
    import uvloop

    uvloop.run(coroutine_function())  # type: ignore[arg-type]


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _bind_peers(sock: socket.socket, limits: Limits) -> None:
    """What every connection inherits: how much the kernel takes for a peer, and how long it waits.

    Without these a peer that takes nothing holds megabytes of the kernel's memory, and one whose
    machine is gone holds its connection for a quarter of an hour (tcp_wmem, tcp_retries2).
    """
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, limits.unsent_bytes_max)
        unanswered_ms = int(limits.unanswered_s_max * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unanswered_ms)


class EdgeServer(Server):
    def __init__(self, config: EdgeConfig, drain: Callable[[], object]) -> None:
        super().__init__(config)
        self._limits = config.limits
        self._drain = drain
        self._cut = asyncio.Event()
        self._signalled: list[signal.Signals] = []

    async def run_until(
        self, stop: asyncio.Event, sock: socket.socket, on_started: Callable[[str, int], object]
    ) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[sock])
        address = sock.getsockname()
        on_started(address[0], address[1])
        dates = asyncio.get_running_loop().create_task(self._keep_date())
        try:
            await stop.wait()
        finally:
            dates.cancel()
            await self._stop(sock)

    async def _keep_date(self) -> None:
        counter = 0
        while True:  # uvicorn's tick: the Date header, once a second
            await self.on_tick(counter)
            counter += 10
            await asyncio.sleep(1.0)

    # --- stop ---

    async def _stop(self, sock: socket.socket) -> None:
        for listener in self.servers:
            listener.close()
        sock.close()
        self._drain()
        for connection in list(self.server_state.connections):
            connection.shutdown()  # idle ones close, busy ones after their answer
        try:
            async with asyncio.timeout(self._limits.drain_s_max):
                await self._quiet()
        except TimeoutError:
            log.warning("stop: cutting %d connections", len(self.server_state.connections))
            await asyncio.gather(*self._cut_off(), return_exceptions=True)
        except asyncio.CancelledError:
            self._cut_off()
            raise

    async def _quiet(self) -> None:
        state = self.server_state
        while (state.connections or state.tasks) and not self._cut.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)  # uvicorn keeps two sets and no event
        if self._cut.is_set():
            raise TimeoutError

    def _cut_off(self) -> list[asyncio.Task[None]]:
        state = self.server_state
        for connection in list(state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        tasks = list(state.tasks)
        for task in tasks:
            task.cancel()
        return tasks

    # --- signals ---

    def take_signals(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            try:
                loop.add_signal_handler(number, self._signal, stop)
            except (ValueError, RuntimeError):
                return  # not the main thread: whoever runs us stops us
            self._signalled.append(number)

    def _signal(self, stop: asyncio.Event) -> None:
        if stop.is_set():
            self._cut.set()
        stop.set()

    def leave_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in self._signalled:
            loop.remove_signal_handler(number)


class JsonLines(logging.Formatter):
    """One JSON object a line: for --access-log, and for operators who collect logs."""

    _STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        members: dict[str, object] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        members |= {k: v for k, v in vars(record).items() if k not in self._STANDARD}
        if record.exc_info:
            members["error"] = self.formatException(record.exc_info)
        return json.dumps(members, default=str)
