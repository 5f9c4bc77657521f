"""Both ways of an append answer alike: the short one and the ordinary one, the reference."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from eventspine.contracts.errors import StoreFull
from eventspine.contracts.settings import HttpSettings
from tests.api.both_ways import EVENT, ORIGIN, Ways, answers_in, opened, post, wire
from tests.api.serving import Serve, Served, read_all, settings_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    with ExitStack() as stack:
        yield opened(stack, tmp_path_factory.mktemp("roots"))


def test_a_plain_append_takes_the_short_way_and_the_setting_takes_it_away(ways: Ways) -> None:
    ways.same(post("plain"))  # which wakes the stream
    before, compiled = ways.taken, ways.taken_compiled
    first, second, _ = ways.same(post("plain") * 2)
    assert (first.status, second.status) == (201, 201)
    assert ways.taken == before + 2
    assert ways.taken_compiled == compiled + 2
    assert ways.ordinary.lanes is None


@pytest.mark.parametrize(
    "raw",
    [
        post("un%75sual"),
        post("unusual/"),
        post("unusual", EVENT, "Expect: 100-continue"),
        post("unusual", EVENT, "Connection: close"),
        post("unusual", EVENT, "Upgrade: h2c"),
        post("unusual", EVENT, "Content-Type: text/plain"),
        post("unusual", EVENT, "Origin: https://evil.example"),
        post("unusual", EVENT, "X-Tenant-Id: a", "X-Tenant-Id: b"),
        post("unusual", EVENT, "Transfer-Encoding: chunked"),
        post("unusual", EVENT, "Host: b"),
        post("unusual", EVENT, "X-Mode: production"),
        post("unusual", EVENT, "traceparent: none"),
        post("unusual", EVENT, "If-Match: 7"),
        post("unusual", EVENT, "X-Long: " + "x" * 3000),
        post("unusual", b" " * 5000),
        post("x" * 256),
        post("unusual").replace(b"HTTP/1.1", b"HTTP/1.0"),
        post("unusual").replace(b"POST", b"PUT"),
        post("unusual").replace(b"events ", b"events?a=1 "),
        post("unusual").replace(b"\r\n", b"\n"),
    ],
    ids=range(20),
)
def test_what_is_unusual_goes_the_ordinary_way(ways: Ways, raw: bytes) -> None:
    before = ways.taken
    short, ordinary = ways.ask(raw)
    if b"traceparent" not in raw:  # a trace id of its own each time
        assert short == ordinary
    assert short[0].status in (100, 201, *range(400, 500))
    assert ways.taken == before


@pytest.mark.parametrize(
    ("field", "statuses"),
    [
        ("Prefer: return=minimal", [201, 201]),
        ("Content-Type: application/x-ndjson", [201, 201]),
        ("Idempotency-Key: k", [201, 200]),
        ('If-Match: "0000000000000001_0000000000000001"', [201, 412]),
        ('If-Match: "0"', [412, 412]),
        ("X-Request-Id: mine", [201, 201]),
        ("X-User-Id: u", [201, 201]),
        (f"Origin: {ORIGIN}", [201, 201]),
        ("Connection: keep-alive", [201, 201]),
        ("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", [201, 201]),
    ],
    ids=range(10),
)
def test_what_a_header_asks_is_done_alike(ways: Ways, field: str, statuses: list[int]) -> None:
    before, stream = ways.taken, "asks-" + "".join(filter(str.isalnum, field))
    got = ways.same(post(stream) + post(stream, EVENT, field) * 2)
    assert [answer.status for answer in got] == [201, *statuses, 200]
    assert ways.taken == before + 3


# --- one connection ---


def test_both_ways_alternate_on_one_connection_and_answers_keep_their_order(ways: Ways) -> None:
    health = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    chunked = post("order").replace(b"Content-Length: 36", b"Transfer-Encoding: chunked")
    chunked = chunked[: -len(EVENT)] + b"24\r\n" + EVENT + b"\r\n0\r\n\r\n"
    got = ways.same((post("order") + health + post("order", b"{") + chunked + post("order")) * 3)
    assert [answer.status for answer in got] == [201, 200, 400, 201, 201] * 3 + [200]
    cursors = [dict(answer.headers)["etag"] for answer in got if answer.status == 201]
    assert cursors == sorted(cursors)


def test_a_thousand_refusals_sent_ahead_are_answered(ways: Ways) -> None:
    got = ways.same(post("ahead") + post("ahead", b"{") * 1000)
    assert [answer.status for answer in got] == [201] + [400] * 1000 + [200]


def test_a_request_in_single_bytes_is_one_append(ways: Ways) -> None:
    for server in (ways.compiled, ways.short, ways.ordinary):
        with server.connect() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head, body = post("bytes")[: -len(EVENT)], EVENT
            sock.sendall(head)  # the head at once, so that the body is waited for on the short way
            for n in range(len(body)):
                sock.sendall(body[n : n + 1])
            assert b" 201 " in sock.recv(65536)
        with server.client() as client:
            assert client.get("/v1/streams/bytes/events").json()["events"][0]["payload"] == {"n": 1}


@contextmanager
def kept(server: Served) -> Iterator[socket.socket]:
    """A connection with one short append behind it."""
    with server.connect() as sock:
        sock.sendall(post("kept"))
        assert b" 201 " in sock.recv(65536)
        yield sock


@pytest.mark.parametrize("short", [True, False])
def test_a_connection_at_rest_is_closed_in_time(serve: Serve, short: bool) -> None:
    http = HttpSettings(short_ways=short)
    server = serve(settings_of(http=http, keep_alive_s=1.0))
    with kept(server) as sock:
        since = time.monotonic()
        sock.sendall(post("kept"))
        assert b" 201 " in sock.recv(65536)
        assert sock.recv(1) == b""
        assert 0.9 < time.monotonic() - since < 5


@pytest.mark.parametrize("short", [True, False])
def test_a_slow_body_is_told_so(serve: Serve, short: bool) -> None:
    http = HttpSettings(short_ways=short)
    server = serve(settings_of(http=http, body_stall_s_max=0.2))
    with kept(server) as sock:
        sock.sendall(post("kept", EVENT, length=99))
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    answers = server.wire(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b'status="201",template="/v1/streams/{stream_id}/events"} 1.0' in answers
    assert b'status="499",template="/v1/streams/{stream_id}/events"} 1.0' in answers


@pytest.mark.parametrize("short", [True, False])
def test_a_stop_lets_a_begun_append_finish_and_then_closes(serve: Serve, short: bool) -> None:
    server = serve(settings_of(http=HttpSettings(short_ways=short)))
    with kept(server) as sock:
        sock.sendall(post("kept")[:-5])
        with server.client() as client:
            client.get("/healthz")  # answered after those bytes were looked at
        server.stop()
        server.wait_until(lambda _: server.spine.ready()["ready"] is False)
        sock.sendall(post("kept")[-5:])
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"draining"' in answer
    assert b"\r\nconnection: close\r\n" in answer


def test_a_refusal_of_the_disk_is_told_alike(ways: Ways) -> None:
    """An error that comes after the append was handed over: the same problem document."""
    found = []
    for server in (ways.compiled, ways.short, ways.ordinary):
        assert answers_in(wire(server, post("fails")))[0].status == 201
        fail_next_commit(server)
        found.append(answers_in(wire(server, post("fails") * 2)))
    assert found[0] == found[1]
    assert [answer.status for answer in found[0]] == [507, 201, 200]


def fail_next_commit(server: Served) -> None:
    def plant(spine: Any) -> None:
        (host,) = spine._hosts
        commit = host.writer.thread.commit

        def failing(batch: object) -> None:
            host.writer.thread.commit = commit
            raise StoreFull("no space left")

        host.writer.thread.commit = failing

    server.ask(plant)


@pytest.mark.parametrize("short", [True, False])
def test_an_append_has_its_line_in_the_access_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, short: bool
) -> None:
    caplog.set_level("INFO", "eventspine.access")
    configured = settings_of(http=HttpSettings(short_ways=short))
    with Served(tmp_path, configured, log_requests=True) as server:
        wire(server, post("logged") * 2)
    shown = [vars(record) for record in caplog.records if record.name == "eventspine.access"]
    assert [(line["status"], line["path"]) for line in shown[:2]] == [
        (201, "/v1/streams/logged/events")
    ] * 2
    assert shown[1]["template"] == "/v1/streams/{stream_id}/events"
    assert shown[1]["method"] == "POST"
    assert shown[1]["request_id"]
