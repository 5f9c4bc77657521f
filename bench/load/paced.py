"""One tenant that appends at a steady rate, whatever the answers take: an open loop.

A latency counts from when the request was due, so a server that stops for a while is charged for
all that came due meanwhile.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import time
from collections import deque

import orjson

from bench.stage import event_of

STREAMS = 100


def requests_of(tenant: str) -> list[bytes]:
    body = event_of()
    fields = f"Host: 127.0.0.1\r\nX-Tenant-Id: {tenant}\r\nContent-Type: application/json\r\n"
    fields += f"Prefer: return=minimal\r\nContent-Length: {len(body)}\r\n\r\n"
    return [
        f"POST /v1/streams/p{n}/events HTTP/1.1\r\n{fields}".encode() + body for n in range(STREAMS)
    ]


class Load:
    def __init__(self, port: int, tenant: str, connections: int) -> None:
        self._requests = requests_of(tenant)
        self._selector = selectors.DefaultSelector()
        self._free: deque[socket.socket] = deque()
        self._due: dict[socket.socket, float] = {}
        self.latencies: list[float] = []
        self.errors = self._sent = 0
        for _ in range(connections):
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(one, selectors.EVENT_READ)
            self._free.append(one)

    def run(self, rate: float, seconds: float) -> None:
        began, count = time.perf_counter(), int(rate * seconds)
        waiting: deque[float] = deque()
        made = 0
        while made < count or waiting or self._due:
            now = time.perf_counter() - began
            while made < count and made / rate <= now:
                waiting.append(made / rate)
                made += 1
            while waiting and self._free:
                self._send(self._free.popleft(), began + waiting.popleft())
            wait_s = max(0.0, made / rate - (time.perf_counter() - began)) if made < count else 1.0
            for ready, _ in self._selector.select(wait_s):
                self._answered(ready.fileobj)  # type: ignore[arg-type]

    def _send(self, one: socket.socket, due: float) -> None:
        self._due[one] = due
        one.sendall(self._requests[self._sent % STREAMS])
        self._sent += 1

    def _answered(self, one: socket.socket) -> None:
        """An answer of a minimal append comes in one piece."""
        answer = one.recv(65536)
        self.latencies.append(time.perf_counter() - self._due.pop(one))
        self.errors += not answer.startswith(b"HTTP/1.1 20")
        self._free.append(one)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    load = Load(args.port, args.tenant, args.connections)
    load.run(STREAMS, 1.0)  # every stream awake
    load.latencies.clear()
    began = time.perf_counter()
    load.run(args.rate, args.seconds)
    seconds, ordered = time.perf_counter() - began, sorted(load.latencies)
    found = {
        "count": len(ordered),
        "seconds": seconds,
        "per_s": len(ordered) / seconds,
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
        "errors": load.errors,
    }
    print(orjson.dumps(found).decode())


if __name__ == "__main__":
    main()
