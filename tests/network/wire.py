"""A socket and the bytes on it: what a client that misbehaves on purpose needs, and no more."""

from __future__ import annotations

import json
import re
import socket
import struct
from types import TracebackType
from typing import Any, NamedTuple, Self

WAIT_S = 20.0
TCP_REPAIR = 19
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Answer(NamedTuple):
    status: int
    head: bytes
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection to 127.0.0.1.

    Args:
        receive_bytes: size of the kernel's receive buffer, for a reader that soon takes no more.
    """

    def __init__(self, port: int, *, receive_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(("127.0.0.1", port))
        self._left = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> Answer:
        """The next whole answer with a Content-Length."""
        data = self._left
        while b"\r\n\r\n" not in data:
            data += self._more(data)
        head, _, body = data.partition(b"\r\n\r\n")
        found = _LENGTH.search(head + b"\r\n")
        length = int(found[1]) if found else 0
        while len(body) < length:
            body += self._more(data)
        self._left = body[length:]
        return Answer(int(head[9:12]), head, body[:length])

    def _more(self, so_far: bytes) -> bytes:
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise EOFError(so_far)
        return piece

    def until(self, text: bytes) -> bytes:
        """What comes up to `text`; for an answer that does not end."""
        data = self._left
        while text not in data:
            data += self._more(data)
        self._left = b""
        return data

    def rest(self) -> bytes:
        """Everything up to the end of the connection, however it ends."""
        data = self._left
        try:
            while piece := self.socket.recv(1 << 16):
                data += piece
        except ConnectionResetError:
            pass
        return data

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End with RST: whatever is on its way is lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def vanish(self) -> None:
        """Be gone without a word, as a machine that lost its power. Needs CAP_NET_ADMIN."""
        self.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        self.socket.close()


def event(number: int, size: int = 0, event_id: str | None = None) -> dict[str, Any]:
    stated = {"event_type": "t", "payload": {"n": number, "x": "x" * size}}
    return stated if event_id is None else {"event_id": event_id, **stated}


def append_request(
    stream: str, *events: dict[str, Any], key: str | None = None, tenant: str | None = None
) -> bytes:
    body = json.dumps(list(events), separators=(",", ":")).encode()
    fields = f"Host: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    if key is not None:
        fields += f"Idempotency-Key: {key}\r\n"
    if tenant is not None:
        fields += f"X-Tenant-Id: {tenant}\r\nX-Env: dev\r\nX-Mode: lab\r\n"
    return f"POST /v1/streams/{stream}/events HTTP/1.1\r\n{fields}\r\n".encode() + body


def get_request(path: str, **fields: str) -> bytes:
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode()


def tail_request(stream: str, after: str = "") -> bytes:
    return get_request(f"/v1/streams/{stream}/sse", **{"Last_Event_ID": after} if after else {})


def ask(port: int, request: bytes) -> Answer:
    """One request on a connection of its own."""
    with Wire(port) as wire:
        wire.send(request)
        return wire.answer()


def append(port: int, stream: str, *events: dict[str, Any], key: str | None = None) -> Answer:
    return ask(port, append_request(stream, *events, key=key))


def numbers(port: int, stream: str) -> list[int]:
    """The `n` of every event of a stream, by pages; its sequences must be dense."""
    found: list[int] = []
    after = ""
    while True:
        page = ask(port, get_request(f"/v1/streams/{stream}/events?limit=1000&after={after}")).json
        assert [e["sequence"] for e in page["events"]] == [
            *range(len(found) + 1, len(found) + 1 + len(page["events"]))
        ]
        found += [event["payload"]["n"] for event in page["events"]]
        after = page["next"]
        if after == page["head"]:
            return found
