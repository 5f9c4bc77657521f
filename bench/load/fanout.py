"""Publishers and many SSE readers in one process, the same for every server.

Closed loop: at most `window` events are on their way to the slowest half of the readers' sum, so a
server is asked for as much as it can do and no queue grows without end. Latency is from just
before the publish is sent until a reader has the event; every `SAMPLED`th reader measures.
"""

from __future__ import annotations

import argparse
import re
import select
import socket
import time
from typing import Any

import orjson

SAMPLED = 10
PUBLISHERS = 8
STAMP = re.compile(rb'"at":(\d{19})')
LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)")
MARK = b'"at":'
TEXT = "x" * 118  # 200 bytes with all around it
DRAIN_S = 5.0


class Readers:
    def __init__(self, port: int, path: str, count: int) -> None:
        self.count = count
        self.delivered = 0
        self.latencies: list[int] = []
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._rest: dict[int, bytes] = {}
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(request.encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(4096)
            assert b" 200 " in head.split(b"\r\n")[0], head
            sock.setblocking(False)
            self._sockets[sock.fileno()] = sock
            self._rest[sock.fileno()] = b""
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._measured = set(list(self._sockets)[::SAMPLED])

    def watch(self, sock: socket.socket) -> None:
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def poll(self, timeout: float) -> list[int]:
        """Take in what has come; the other sockets that are readable."""
        others = []
        sockets, rest = self._sockets, self._rest
        for fd, _ in self._epoll.poll(timeout, 4096):
            sock = sockets.get(fd)
            if sock is None:
                others.append(fd)
                continue
            data = sock.recv(1 << 18)
            assert data, "the server ended a reader"
            data = rest[fd] + data
            if fd in self._measured:
                rest[fd] = self._measure(data)
            else:
                self.delivered += data.count(MARK)
                rest[fd] = data[-len(MARK) + 1 :]
        return others

    def _measure(self, data: bytes) -> bytes:
        now, end = time.time_ns(), 0
        for match in STAMP.finditer(data):
            self.latencies.append(now - int(match[1]))
            self.delivered += 1
            end = match.end()
        return data[max(end, len(data) - 32) :]


class Publishers:
    def __init__(self, port: int, path: str, enveloped: bool) -> None:
        self.published = 0
        self.idle: list[socket.socket] = []
        self.busy: dict[int, socket.socket] = {}
        self._partial: dict[int, bytes] = {}
        self._enveloped = enveloped
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            "Prefer: return=minimal\r\nContent-Length: %d\r\n\r\n"
        ).encode()
        for _ in range(PUBLISHERS):
            self.idle.append(socket.create_connection(("127.0.0.1", port)))

    def publish(self) -> None:
        sock = self.idle.pop()
        payload = b'{"at":%019d,"text":"%b"}' % (time.time_ns(), TEXT.encode())
        body = b'{"event_type":"bench","payload":%b}' % payload if self._enveloped else payload
        sock.sendall(self._head % len(body) + body)
        self.busy[sock.fileno()] = sock
        self.published += 1

    def answered(self, fd: int) -> None:
        """Something came back; when it is a whole answer, its connection is free again."""
        answer = self._partial.pop(fd, b"") + self.busy[fd].recv(65536)
        assert answer.startswith(b"HTTP/1.1 20"), answer[:300]
        head, ended, body = answer.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not ended or (length is not None and len(body) < int(length[1])):
            self._partial[fd] = answer
            return
        self.idle.append(self.busy.pop(fd))


def fan_out(args: argparse.Namespace) -> dict[str, Any]:
    readers = Readers(args.port, args.subscribe, args.readers)
    publishers = Publishers(args.port, args.publish, args.enveloped == "True")
    for sock in publishers.idle:
        readers.watch(sock)

    def step(publishing: bool) -> None:
        behind = publishers.published - readers.delivered // readers.count
        while publishing and publishers.idle and behind < args.window:
            publishers.publish()
            behind += 1
        for fd in readers.poll(0.05):
            publishers.answered(fd)

    def run_for(seconds: float) -> float:
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            step(True)
        return time.perf_counter() - began

    run_for(min(0.5, args.seconds / 2))  # warm
    readers.latencies.clear()
    before, cpu = readers.delivered, time.process_time()
    seconds = run_for(args.seconds)
    count, cpu = readers.delivered - before, time.process_time() - cpu
    ordered = sorted(readers.latencies)
    deadline = time.perf_counter() + DRAIN_S
    expected = publishers.published * readers.count
    while readers.delivered < expected and time.perf_counter() < deadline:
        step(False)
    return {
        "per_s": count / seconds,
        "p50_ms": ordered[len(ordered) // 2] / 1e6,
        "p99_ms": ordered[int(len(ordered) * 0.99)] / 1e6,
        "count": count,
        "seconds": seconds,
        "client_cpu": cpu / seconds,
        "missing": expected - readers.delivered,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--subscribe", required=True)
    parser.add_argument("--publish", required=True)
    parser.add_argument("--enveloped", default="False")
    parser.add_argument("--readers", type=int, default=100)
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0)
    print(orjson.dumps(fan_out(parser.parse_args())).decode())


if __name__ == "__main__":
    main()
