"""A really served instance: uvicorn, uvloop, our protocol, a spine over memory, in a thread."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import uvloop

from eventspine.api.app import create_app
from eventspine.api.lane.lanes import Lanes
from eventspine.api.server import serve
from eventspine.bootstrap import KINDS, open_spine
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import HttpSettings, LabSettings, Settings
from eventspine.services.spine import Spine
from tests.api.whatwg import Event, EventParser

LAB = LabSettings()
WAIT_S = 10.0


def settings_of(
    *,
    lab: LabSettings | None = LAB,
    http: HttpSettings | None = None,
    direct_delivery: bool = True,
    native: bool = True,
    **limits: Any,
) -> Settings:
    http = http or HttpSettings(direct_delivery=direct_delivery)
    return Settings(lab=lab, http=http, native=native, limits=Limits(**limits))


class Served:
    """The server, from the outside; `spine` from the inside (ask it on its own loop)."""

    def __init__(self, root: Path, settings: Settings, *, log_requests: bool = False) -> None:
        self._root, self._settings = root, settings
        root.mkdir(exist_ok=True)
        self._log_requests = log_requests
        self.lanes: Lanes | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="served", daemon=True)
        self.port = 0
        self.spine: Spine
        self.loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(WAIT_S)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.wait_for_end()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)

    def wait_for_end(self) -> None:
        self._thread.join(WAIT_S + self._settings.limits.drain_s_max)
        assert not self._thread.is_alive(), "the server did not stop"

    @property
    def stopped(self) -> bool:
        return not self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=headers, timeout=WAIT_S, trust_env=False)

    def ask(self, question: Callable[[Spine], Any]) -> Any:
        """The answer of `question(spine)`, asked on the loop of the server."""

        async def asked() -> Any:
            answer = question(self.spine)
            return await answer if asyncio.iscoroutine(answer) else answer

        return asyncio.run_coroutine_threadsafe(asked(), self.loop).result(WAIT_S)

    def wait_until(self, question: Callable[[Spine], Any]) -> None:
        async def asked() -> None:
            while not question(self.spine):  # noqa: ASYNC110 - statistics have no event
                await asyncio.sleep(0.005)

        asyncio.run_coroutine_threadsafe(_limited(asked()), self.loop).result(WAIT_S + 1)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)

    def wire(self, request: bytes, *, half_close: bool = False) -> bytes:
        """What comes back for these bytes, up to the end of the connection."""
        with self.connect() as sock:
            sock.sendall(request)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            return read_all(sock)

    def _run(self) -> None:
        try:
            uvloop.run(self._main())
        except BaseException as error:
            self._failure = error
        finally:
            self._started.set()

    async def _main(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with open_spine(self._root, settings=self._settings) as spine:
            for lab in [self._settings.lab or LAB]:
                for kind in KINDS:
                    await spine.routes.create(memory_route(kind, **lab.model_dump()))
            self.spine = spine
            app = create_app(spine, log_requests=self._log_requests)
            self.lanes = app.lanes
            await serve(
                app,
                port=0,
                limits=self._settings.limits,
                drain=spine.drain,
                on_started=self._listening,
                stop=self._stop,
                handle_signals=False,
            )

    def _listening(self, host: str, port: int) -> None:
        self.port = port
        self._started.set()


async def _limited(work: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        await work


Serve = Callable[..., Served]


def memory_route(kind: ResourceKind = ResourceKind.EVENT_STREAM, **scope: Any) -> RouteSpec:
    return RouteSpec(resource_kind=kind, backend_type="memory", **scope)


def readers(spine: Spine) -> int:
    return sum(host.readers for host in spine.statistics().hosts)


def read_all(sock: socket.socket) -> bytes:
    pieces = []
    try:
        while piece := sock.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def events(*texts: str) -> list[dict[str, Any]]:
    return [{"event_type": "t", "payload": {"text": text}} for text in texts]


def append(client: httpx.Client, stream: str, *texts: str) -> list[dict[str, Any]]:
    answer = client.post(f"/v1/streams/{stream}/events", json=events(*texts))
    assert answer.status_code == 201, answer.text
    stored: list[dict[str, Any]] = answer.json()["events"]
    return stored


class Tail:
    """An SSE answer being read."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.parser = EventParser()
        self._pieces = response.iter_raw()  # dropping it would close the connection
        self._waiting: deque[Event] = deque()
        self._events = self._parsed()

    def _parsed(self) -> Iterator[Event]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if not self.read_on():
                return

    def read_on(self) -> bool:
        """Take in one piece, whatever it holds; False at the end."""
        piece = next(self._pieces, None)
        if piece is not None:
            self._waiting.extend(self.parser.feed(piece))
        return piece is not None or bool(self._waiting)

    def take(self, count: int) -> list[Event]:
        return [next(self._events) for _ in range(count)]

    def rest(self) -> list[Event]:
        return list(self._events)

    def texts(self, count: int) -> list[str]:
        return [json.loads(event.data)["payload"]["text"] for event in self.take(count)]


@contextmanager
def tail(client: httpx.Client, address: str, **headers: str) -> Iterator[Tail]:
    with client.stream("GET", address, headers=headers) as response:
        yield Tail(response)
