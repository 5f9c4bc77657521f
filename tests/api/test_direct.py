"""Direct delivery: who is served past its task, in what order, and what becomes of the slow."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import BinaryIO

import httpx
import pytest

from eventspine.actors.audience import READERS_A_PASS, Reader
from eventspine.api.live import direct
from eventspine.api.live.direct import Wire
from eventspine.contracts.answers import TailSlice
from eventspine.services.spine import Spine
from tests.api.serving import Serve, Served, append, events, read_all, readers, tail
from tests.api.whatwg import EventParser

pytestmark = pytest.mark.slow


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[TailSlice]:
    """The slices that went past the tasks."""
    found: list[TailSlice] = []
    take = Wire.take

    def watched(wire: Wire, piece: TailSlice) -> bool:
        done = take(wire, piece)
        if done:
            found.append(piece)
        return done

    monkeypatch.setattr(direct.Wire, "take", watched)
    return found


def waiting(spine: Spine) -> list[Reader]:
    return [reader for host in spine._hosts for reader in host.readers if reader.ticket is not None]


def test_a_waiting_reader_is_served_past_its_task(
    served: Served, client: httpx.Client, taken: list[TailSlice]
) -> None:
    append(client, "d1", "history")
    with tail(client, "/v1/streams/d1/sse") as reading:
        assert reading.texts(1) == ["history"]
        for n in range(20):
            served.wait_until(waiting)
            append(client, "d1", f"a{n}", f"b{n}")
            assert reading.texts(2) == [f"a{n}", f"b{n}"]
    assert taken
    assert all(len(piece.lines) == 2 for piece in taken)


def test_with_the_switch_off_the_task_does_all(serve: Serve, taken: list[TailSlice]) -> None:
    with serve(direct_delivery=False).client() as own, tail(own, "/v1/streams/s/sse") as reading:
        for n in range(5):
            append(own, "s", str(n))
            assert reading.texts(1) == [str(n)]
    assert taken == []


def test_an_audience_of_more_than_one_pass_gets_everything_in_order(serve: Serve) -> None:
    server = serve()
    count = READERS_A_PASS * 2 + 3
    with server.client() as own:
        append(own, "many", "0")
        sockets = [server.connect() for _ in range(count)]
        for sock in sockets:
            sock.sendall(b"GET /v1/streams/many/sse HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_until(lambda spine: len(waiting(spine)) == count)
        for n in range(1, 40):
            append(own, "many", str(n))
            if n % 7 == 0:
                sockets.pop().close()  # somebody leaves in the middle of it
        own.post("/v1/streams/many/close")
        expected = [str(n) for n in range(40)]
        for sock in sockets:
            found = received(sock)
            assert [text for text in found if text] == expected
            assert found[-1] is None  # the end


def received(sock: socket.socket) -> list[str | None]:
    """The texts of one SSE answer up to its end; None for the `end` event."""
    with sock.makefile("rb") as answer:
        assert answer.readline().startswith(b"HTTP/1.1 200 ")
        while answer.readline() != b"\r\n":
            pass
        parsed = EventParser().feed(b"".join(chunks(answer)))
    sock.close()
    return [
        None if event.name == "end" else json.loads(event.data)["payload"]["text"]
        for event in parsed
    ]


def chunks(answer: BinaryIO) -> Iterator[bytes]:
    """The pieces of a chunked body; the framing has to be right to the byte (RFC 9112, 7.1)."""
    while True:
        line = answer.readline()
        assert line.endswith(b"\r\n"), line
        size = int(line, 16)
        piece = answer.read(size)
        assert len(piece) == size
        assert answer.read(2) == b"\r\n"
        if not size:
            return
        yield piece


def test_a_reader_that_stalls_and_comes_back_misses_nothing(
    serve: Serve, taken: list[TailSlice]
) -> None:
    server = serve(reader_lag_bytes_max=4096)
    with server.client() as own, server.connect() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
        slow.sendall(b"GET /v1/streams/slow/sse HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_until(lambda spine: len(waiting(spine)) == 1)
        # more than its socket and the tail hold: it has to come back through the store
        for n in range(30):
            texts = [f"{n}-{m}-" + "x" * 20_000 for m in range(10)]
            assert own.post("/v1/streams/slow/events", json=events(*texts)).status_code == 201
        assert not server.ask(waiting)
        own.post("/v1/streams/slow/close")
        found = received(slow)
    expected = [f"{n}-{m}-" for n in range(30) for m in range(10)]
    assert [text[: text.rindex("-") + 1] for text in found if text] == expected
    assert taken  # before it stalled


def test_a_reader_that_leaves_behind_a_pipelined_request_is_forgotten(serve: Serve) -> None:
    server = serve(heartbeat_s=0.2)
    with server.connect() as sock:
        request = b"GET /v1/streams/p/sse HTTP/1.1\r\nHost: a\r\n\r\n"
        sock.sendall(request)
        server.wait_until(lambda spine: readers(spine) == 1)
        sock.sendall(request)
    server.wait_until(lambda spine: readers(spine) == 0)


def test_http_1_0_is_answered_as_by_the_task(serve: Serve) -> None:
    server = serve()
    with server.client() as own, server.connect() as sock:
        sock.sendall(b"GET /v1/streams/old/sse HTTP/1.0\r\nHost: a\r\n\r\n")
        server.wait_until(lambda spine: len(waiting(spine)) == 1)
        append(own, "old", "a")
        own.post("/v1/streams/old/close")
        data = read_all(sock)
    assert b'"text":"a"' in data
    assert b"event: end" in data
