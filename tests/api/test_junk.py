"""Bytes that are no HTTP, behind requests that are: what was asked properly is answered first."""

from __future__ import annotations

import logging
import random
import re
import socket
import struct
import time

import httpx
import pytest

from tests.api.both_ways import EVENT, post
from tests.api.serving import Serve, Served, append, read_all, readers

BOTH_WAYS = True
GET = b"GET /v1/streams/%b/events HTTP/1.1\r\nHost: a\r\n\r\n"
TAIL = b"GET /v1/streams/%b/sse HTTP/1.1\r\nHost: a\r\n\r\n"
JUNK = {
    "bytes": b"\x00\x01\x02\xff\r\n\r\n",
    "words": b"this is not HTTP\r\n\r\n",
    "half a word": b"PO\x00",
    "a length that is none": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n",
    "a version that is none": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "a target that is none": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "an address that is none": b"GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a broken chunk": post("s", b"", "Transfer-Encoding: chunked").replace(
        b"Content-Length: 0\r\n", b""
    )
    + b"ZZ\r\n",
}
junk_of_all_kinds = pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        f"{record.name}: {record.getMessage()} {record.exc_info}"
        for record in caplog.records
        if record.exc_info or "raceback" in record.getMessage()
    ]


@junk_of_all_kinds
def test_an_append_before_junk_is_answered_first(
    served: Served, client: httpx.Client, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    stream = f"junk-{time.monotonic_ns()}"
    for count in (1, 3):
        answers = served.wire(post(stream) * count + junk)
        assert statuses(answers) == [201] * count + [400]
        assert b"connection: close" in answers.rsplit(b"HTTP/1.1 400", 1)[1].lower()
    assert len(client.get(f"/v1/streams/{stream}/events").json()["events"]) == 4
    assert not tracebacks(caplog)


@junk_of_all_kinds
def test_a_page_before_junk_is_answered_first(
    served: Served, client: httpx.Client, junk: bytes
) -> None:
    append(client, "paged", "one")
    for before in (GET % b"paged", GET % b"paged" + post("paged") + GET % b"paged"):
        wanted = [201 if part.startswith(b"POST") else 200 for part in before.split(b"HTTP/1.1")]
        answers = served.wire(before + junk)
        assert statuses(answers)[-1] == 400
        assert len(statuses(answers)) == len(wanted)
        assert set(statuses(answers)[:-1]) <= {200, 201}


def test_a_request_that_breaks_in_its_body_is_the_one_that_is_refused(served: Served) -> None:
    broken = JUNK["a broken chunk"]
    assert statuses(served.wire(broken)) == [400]
    assert statuses(served.wire(post("s") + broken)) == [201, 400]
    assert statuses(served.wire(GET % b"s" + broken)) == [200, 400]


def test_headers_that_are_too_long_are_refused_behind_the_answers(served: Served) -> None:
    too_long = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000
    assert statuses(served.wire(post("s") + too_long + b"\r\n\r\n")) == [201, 431]
    assert statuses(served.wire(GET % b"s" + too_long)) == [200, 431]


def test_a_tail_before_junk_does_not_keep_the_connection(serve: Serve) -> None:
    served = serve(header_s_max=0.3)
    with served.client() as client:
        append(client, "told", "one")
    for junk in JUNK.values():
        answers = served.wire(TAIL % b"told" + junk)
        assert statuses(answers) == [200]
    with served.connect() as sock:
        sock.sendall(TAIL % b"told")
        assert sock.recv(100)
        sock.sendall(JUNK["words"])
        assert statuses(read_all(sock)) == []


def test_what_comes_behind_junk_is_never_looked_at(served: Served, client: httpx.Client) -> None:
    stream = f"behind-{time.monotonic_ns()}"
    assert statuses(served.wire(post(stream) + JUNK["words"] + post(stream))) == [201, 400]
    assert len(client.get(f"/v1/streams/{stream}/events").json()["events"]) == 1


@pytest.mark.parametrize("seed", range(40))
def test_no_cut_and_no_junk_fills_the_log(
    served: Served, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(seed)
    parts = [post("cut"), GET % b"cut", TAIL % b"cut", post("cut", EVENT * 2), *JUNK.values()]
    with served.connect() as sock:
        data = b"".join(rng.choice(parts) for _ in range(rng.randint(1, 6)))
        data = data[: rng.randint(1, len(data))]
        for start in range(0, len(data), step := rng.choice([7, 100, 10_000])):
            try:
                sock.sendall(data[start : start + step])
            except OSError:
                break  # refused already
        if seed % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    served.wait_until(lambda spine: readers(spine) == 0)
    assert statuses(served.wire(GET % b"cut" + b"\0")) == [200, 400]  # it has seen the end of it
    assert not tracebacks(caplog)


def test_a_stop_with_readers_that_take_nothing_is_quiet(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(drain_s_max=0.3)
    with served.client() as client:
        for _ in range(8):
            append(client, "long", *["x" * 60_000] * 8)
    stalled = []
    for _ in range(3):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", served.port))
        sock.sendall(TAIL % b"long")
        assert sock.recv(1) == b"H"
        stalled.append(sock)
    served.wait_until(lambda spine: readers(spine) == 3)
    with caplog.at_level(logging.WARNING):
        served.stop()
        served.wait_for_end()
    for sock in stalled:
        sock.close()
    assert any("cutting" in record.getMessage() for record in caplog.records)
    assert not tracebacks(caplog)
