"""The least HTTP client: one keep-alive socket, answers with a Content-Length."""

from __future__ import annotations

import re
import socket

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)\r\n")


class Connection:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def get(self, path: str) -> bytes:
        """The body; an answer other than 200 raises."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return self._answer(b"200")

    def post(self, path: str, body: bytes, content_type: str) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nPrefer: return=minimal\r\n"
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        return self._answer(b"20")

    def _answer(self, status: bytes) -> bytes:
        data = self._socket.recv(1 << 18)
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(1 << 18)
        head, _, body = data.partition(b"\r\n\r\n")
        found = _LENGTH.search(head + b"\r\n")
        if not head.startswith(b"HTTP/1.1 " + status) or found is None:
            raise RuntimeError(f"{head!r} {body[:300]!r}")
        pieces, missing = [body], int(found[1]) - len(body)
        while missing > 0:
            pieces.append(self._socket.recv(1 << 18))
            missing -= len(pieces[-1])
        return b"".join(pieces)
