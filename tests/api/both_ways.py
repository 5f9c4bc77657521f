"""The ways of an append, asked the same bytes: compiled, short, and the ordinary one."""

from __future__ import annotations

import re
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from eventspine.contracts.settings import HttpSettings
from tests.api.serving import Served, read_all, settings_of

EVENT = b'{"event_type":"t","payload":{"n":1}}'
ORIGIN = "https://app.example"


def post(stream: str, body: bytes = EVENT, *fields: str, length: int | None = None) -> bytes:
    lines = [f"POST /v1/streams/{stream}/events HTTP/1.1", "Host: a", *fields]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Got(NamedTuple):
    """An answer without what differs from one request to the next."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


_VARYING = [
    (rb'"ts":"[^"]+"', b'"ts":"T"'),
    (rb'"event_id":"[0-9a-f-]{36}"', b'"event_id":"E"'),
    (rb"[0-9a-f]{12}-[0-9a-f]+(\.[0-9a-f]+)?", b"R"),
]


def plain(raw: bytes) -> bytes:
    for pattern, to in _VARYING:
        raw = re.sub(pattern, to, raw)
    return raw


def answers_in(raw: bytes) -> list[Got]:
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        if first == "HTTP/1.1 100 Continue":
            found.append(Got(100, [], b""))
            raw = rest
            continue
        pairs = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        size = int(dict(pairs)["content-length"])
        shown = [
            (name, "…" if name in ("date", "content-length") else plain(value.encode()).decode())
            for name, value in pairs
        ]
        found.append(Got(int(first.split()[1]), shown, plain(rest[:size])))
        raw = rest[size:]
    return found


class Ways:
    """Servers that differ in their settings alone."""

    def __init__(self, compiled: Served, short: Served, ordinary: Served) -> None:
        self.compiled, self.short, self.ordinary = compiled, short, ordinary

    @property
    def taken(self) -> int:
        """How many requests went the short way, where it is not compiled."""
        assert self.short.lanes is not None
        return self.short.lanes.appends.taken

    @property
    def taken_compiled(self) -> int:
        assert self.compiled.lanes is not None
        return self.compiled.lanes.appends.compiled

    def ask(self, *raws: bytes, cut: int | None = None) -> tuple[list[Got], list[Got]]:
        """What the short ways answer, which is one answer, and what the ordinary one does."""
        servers = (self.compiled, self.short, self.ordinary)
        compiled, short, ordinary = [answers_in(wire(each, *raws, cut=cut)) for each in servers]
        if b"traceparent" not in raws[0]:  # a trace id of its own each time
            assert compiled == short, (raws, cut)
        return short, ordinary

    def same(self, *raws: bytes, cut: int | None = None) -> list[Got]:
        short, ordinary = self.ask(*raws, cut=cut)
        assert short == ordinary, (raws, cut)
        return short


LAST = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def wire(server: Served, *raws: bytes, cut: int | None = None) -> bytes:
    """Everything that comes back on one connection for these bytes and a request that closes.

    Each but the last is one request, and waits for the answer of the one before. `cut`: where the
    last is cut in two pieces that are read one by one.
    """
    got = b""
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for raw in raws[:-1]:
            sock.sendall(raw)
            answer = read_one(sock)
            got += answer
            if b"\r\nconnection: close\r\n" in answer:
                return got
        last = raws[-1] + LAST
        try:
            if cut is not None:
                sock.sendall(last[:cut])
                time.sleep(0.002)  # so that it is read by itself
            sock.sendall(last[cut or 0 :])
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was all there
        return got + read_all(sock)


def read_one(sock: socket.socket) -> bytes:
    """One answer, with the 100 Continue that may come before it."""
    got = b""
    while piece := sock.recv(65536):
        got += piece
        stated = re.search(rb"content-length: (\d+)\r\n", got)
        if stated and len(got.partition(b"\r\n\r\n{")[2]) + 1 >= int(stated[1]):
            break
    return got


def opened(stack: ExitStack, root: Path) -> Ways:
    """All of them, with limits that random bodies reach."""
    servers = []
    for name, native, short in (
        ("compiled", True, True),
        ("short", False, True),
        ("ordinary", False, False),
    ):
        limited = settings_of(
            http=HttpSettings(cors_origins=(ORIGIN,), short_ways=short),
            native=native,
            body_bytes_max=4096,
            event_bytes_max=1024,
            batch_events_max=5,
        )
        servers.append(stack.enter_context(Served(root / name, limited)))
    return Ways(*servers)
