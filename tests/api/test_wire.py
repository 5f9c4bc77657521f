"""Bytes that a well-behaved client never sends, against the server as it is served."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.api.serving import Serve, Served, read_all

pytestmark = pytest.mark.slow
BOTH_WAYS = True

BODY = b'{"event_type":"t","payload":{}}'
POST = b"POST /v1/streams/%b/events HTTP/1.1\r\n"


def head_of(client: httpx.Client, stream: str) -> int:
    return int(client.head(f"/v1/streams/{stream}/events").headers["x-stream-head"][-16:])


def refused(answer: bytes, status: int) -> None:
    """One problem document with this status, and no second answer."""
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"application/problem+json" in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    "fields",
    [
        b"Host: a\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(BODY),
        b"Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n" % len(BODY),
        b"Host: a\r\nContent-Length: %d, %d\r\n" % (len(BODY), len(BODY)),
        b"Host: a\r\nContent-Length: %d\r\nContent-Length: 5\r\n" % len(BODY),
        b"Host: a\r\nContent-Length: +%d\r\n" % len(BODY),
        b"Host: a\r\nTransfer-Encoding: chunked, identity\r\n",
        b"Host: a\r\nX-A: b\r\n folded\r\nContent-Length: %d\r\n" % len(BODY),
        b"Host : a\r\nContent-Length: %d\r\n" % len(BODY),
        b"Host: a\r\nX\0: b\r\nContent-Length: %d\r\n" % len(BODY),
    ],
    ids=range(9),
)
def test_a_request_two_parsers_read_differently_is_refused_and_closed(
    served: Served, client: httpx.Client, fields: bytes
) -> None:
    following = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = served.wire(POST % b"smuggled" + fields + b"\r\n" + BODY + following)
    refused(answer, 400)
    assert head_of(client, "smuggled") == 0


@pytest.mark.parametrize("hosts", [b"", b"Host: a\r\nHost: b\r\n", b"Host: a/b\r\n", b"Host:\r\n"])
def test_exactly_one_host(served: Served, client: httpx.Client, hosts: bytes) -> None:
    framing = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY)
    refused(served.wire(POST % b"hosts" + hosts + framing + BODY), 400)
    assert head_of(client, "hosts") == 0


def test_bare_line_feeds_are_refused(served: Served) -> None:
    refused(served.wire(b"GET /healthz HTTP/1.1\nHost: a\n\n"), 400)


@pytest.mark.parametrize(
    "line", [b"GET /a b HTTP/1.1", b"GET / HTTP/9.9", b"\x16\x03\x01", b"GET \xff HTTP/1.1"]
)
def test_what_is_not_http_is_refused(served: Served, line: bytes) -> None:
    refused(served.wire(line + b"\r\nHost: a\r\n\r\n"), 400)


def test_a_body_that_stops_half_way_appends_nothing(served: Served, client: httpx.Client) -> None:
    head = POST % b"half" + b"Host: a\r\n"
    served.wire(head + b"Content-Length: 99\r\n\r\n" + BODY, half_close=True)
    with served.connect() as sock:
        sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(BODY), BODY))
    assert head_of(client, "half") == 0


def test_a_chunked_body_is_appended(served: Served, client: httpx.Client) -> None:
    head = POST % b"chunked" + b"Host: a\r\nConnection: close\r\n"
    chunks = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (BODY[:5], len(BODY) - 5, BODY[5:])
    answer = served.wire(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert answer.startswith(b"HTTP/1.1 201 ")


def test_trailer_fields_do_not_become_headers(served: Served) -> None:
    head = POST % b"trailers" + b"Host: a\r\nConnection: close\r\n"
    chunk = b"%x\r\n%b\r\n0\r\nX-Tenant-Id: other\r\nHost: b\r\n\r\n" % (len(BODY), BODY)
    answer = served.wire(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b'"tenant_id":"t_demo"' in answer


def test_a_body_that_is_stated_too_long_is_refused_before_it_is_sent(served: Served) -> None:
    head = POST % b"long" + b"Host: a\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
    answer = served.wire(head)
    refused(answer, 413)
    assert b"100 Continue" not in answer


def test_a_body_that_grows_too_long_is_refused_while_it_comes(served: Served) -> None:
    head = POST % b"grows" + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    refused(served.wire(head + chunk * 4 + b"0\r\n\r\n"), 413)


def test_a_whole_body_that_is_too_long_gets_its_refusal_read(client: httpx.Client) -> None:
    answer = client.post("/v1/streams/big/events", content=b" " * 5_000_000)
    assert answer.status_code == 413
    assert answer.json()["limit"] == "body_bytes_max"
    assert answer.headers["connection"] == "close"


def test_headers_that_are_too_large_are_refused(served: Served) -> None:
    big = b"X-Big: %b\r\n" % (b"x" * 70_000)
    refused(served.wire(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + big + b"\r\n"), 431)
    with served.connect() as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
        try:
            while True:
                sock.sendall(b"X-More: %b\r\n" % (b"x" * 1000))
        except (ConnectionResetError, BrokenPipeError):
            pass  # cut off: what this test is about


def test_requests_may_be_pipelined(served: Served) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert served.wire(one * 3 + last).count(b"HTTP/1.1 200 ") == 4


# --- slow ---


def took(since: float) -> float:
    return time.monotonic() - since


def test_a_silent_connection_is_closed(serve: Serve) -> None:
    server = serve(header_s_max=0.2)
    since = time.monotonic()
    with server.connect() as sock:
        assert read_all(sock) == b""
    assert 0.15 < took(since) < 5


def test_slow_headers_are_cut_off(serve: Serve) -> None:
    server = serve(header_s_max=0.2)
    with server.connect() as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
        refused(read_all(sock), 408)


def test_a_kept_connection_may_rest_longer_than_headers_may_take(serve: Serve) -> None:
    server = serve(header_s_max=0.15)
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    with server.connect() as sock:
        sock.sendall(request)
        assert b" 200 " in sock.recv(65536)
        sock.settimeout(0.4)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(5)
        sock.sendall(request[:10])
        sock.sendall(request[10:])
        assert b" 200 " in sock.recv(65536)
        sock.sendall(request[:10])
        refused(read_all(sock), 408)


@pytest.mark.parametrize("limits", [{"body_stall_s_max": 0.2}, {"body_s_max": 0.2}])
def test_slow_bodies_are_cut_off(serve: Serve, limits: dict[str, float]) -> None:
    server = serve(**limits)
    with server.connect() as sock:
        sock.sendall(POST % b"slow" + b"Host: a\r\nContent-Length: 50\r\n\r\n" + BODY)
        refused(read_all(sock), 408)
    with server.client() as own:
        assert head_of(own, "slow") == 0


def test_a_connection_too_many_is_told_so(serve: Serve) -> None:
    server = serve(connections_max=1)
    with server.client() as own:
        assert own.get("/healthz").status_code == 200
        with server.connect() as second:
            answer = read_all(second)
    refused(answer, 503)
    assert b"retry-after: 1" in answer
    assert b"too_many_connections" in answer
