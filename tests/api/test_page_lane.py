"""Both ways of a page answer alike: the short one and the ordinary one, the reference."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.both_ways import LAST, ORIGIN, Got, Ways, opened, post
from tests.api.serving import Serve, read_all, settings_of

pytestmark = pytest.mark.slow

FIRST = "0000000000000001_0000000000000001"


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    with ExitStack() as stack:
        opening = opened(stack, tmp_path_factory.mktemp("roots"))
        for n in range(7):
            body = b'{"event_type":"t","event_id":"m-%d","payload":{"n":%d}}' % (n, n)
            assert opening.same(post("read", body))[0].status == 201
        yield opening


def get(query: str = "", *fields: str, stream: str = "read") -> bytes:
    lines = [f"GET /v1/streams/{stream}/events{query} HTTP/1.1", "Host: a", *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def asked(ways: Ways, raw: bytes) -> tuple[int, list[Got]]:
    """How many requests took the short way, and the answers, which are those of the other."""
    assert ways.short.lanes is not None
    lane = ways.short.lanes.pages
    before = lane.run
    short, ordinary = ways.ask(raw)
    if b"traceparent" not in raw:
        assert short == ordinary
    return lane.run - before, short


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?limit=3",
        f"?after={FIRST}",
        f"?limit=2&after={FIRST}",
        f"?after={FIRST}&limit=2",
        "?after=latest",
        "?limit=999999999",
    ],
)
@pytest.mark.parametrize(
    "field",
    ["", "Accept: */*", f"Origin: {ORIGIN}", "Origin: https://evil.example", "X-Request-Id: r-1"],
)
def test_a_page_takes_the_short_way(ways: Ways, query: str, field: str) -> None:
    taken, answers = asked(ways, get(query, *filter(None, [field])))
    assert (taken, answers[0].status) == (1, 200)


def test_pages_that_are_sent_ahead_keep_their_order(ways: Ways) -> None:
    ways.same(post("other"))  # which wakes the stream
    ahead = get("?limit=1") + post("other") + get(f"?after={FIRST}&limit=1") + get("?after=latest")
    taken, answers = asked(ways, ahead)
    assert [each.status for each in answers] == [200, 201, 200, 200, 200]
    assert taken == 3


@pytest.mark.parametrize(
    "raw",
    [
        get("?after=m-3"),
        get("?after="),
        get("?limit=0"),
        get("?limit=-1"),
        get("?limit=1&limit=2"),
        get("?limit=1&limit=1"),
        get("?limt=1"),
        get("?_=1"),
        get("?wait=0"),
        get(f"?before={FIRST}"),
        get("?after=0000000000000001_0000000000000999"),
        get("?after=0000000000000002_0000000000000001"),
        get("?after=%6Catest"),
        get("", "Accept: text/event-stream;q=0, */*", "Content-Length: 0"),
        get("", "Content-Length: 2") + b"{}",
        get("", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        get("", "Connection: close"),
        get("", "X-Tenant-Id: a", "X-Tenant-Id: b"),
        get("", "X-Mode: production"),
        get("", "traceparent: none"),
        get("", "X-Long: " + "x" * 3000),
        get("", stream="nobody-wrote-to"),
        get("", stream="x" * 256),
        get("").replace(b"HTTP/1.1", b"HTTP/1.0"),
        get("").replace(b"GET", b"get"),
        get("").replace(b"\r\n", b"\n"),
    ],
    ids=range(26),
)
def test_what_is_unusual_goes_the_ordinary_way(ways: Ways, raw: bytes) -> None:
    taken, answers = asked(ways, raw)
    assert taken == 0
    assert answers[0].status in (200, *range(400, 500))


def test_an_empty_query_is_none(ways: Ways) -> None:
    assert asked(ways, get("?"))[0] == 1


PIECES = st.sampled_from(
    f"limit=1 limit=3 limit=0 limit=x limit=00002 after=latest after={FIRST} after=m-1 after= "
    "after=%ff before=latest wait=0 x=1 _=1".split(" ")
)
FIELDS = st.sampled_from(
    [
        "Accept: */*",
        "Accept: application/json",
        "X-User-Id: u",
        "X-Env: dev",
        "X-Env: prod",
        "X-Request-Id: mine",
        "Connection: keep-alive",
        "Idempotency-Key: \x01",
        "If-Match: x",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pieces=st.lists(PIECES, max_size=3),
    fields=st.lists(FIELDS, max_size=3),
    cut=st.none() | st.integers(1, 80),
)
def test_random_requests_for_pages_answer_alike(
    ways: Ways, pieces: list[str], fields: list[str], cut: int | None
) -> None:
    query = "?" + "&".join(pieces) if pieces else ""
    ways.same(get(query, *fields), cut=cut)


def test_a_reader_that_takes_nothing_in_holds_one_page(serve: Serve, tmp_path: Path) -> None:
    """Requests sent ahead wait until the answer before is on its way."""
    server = serve(settings_of(page_bytes_max=4 * 1024 * 1024))
    body = b"[" + b",".join([b'{"event_type":"t","payload":{"x":"%b"}}' % (b"y" * 900)] * 900)
    with server.connect() as sock:
        sock.sendall(post("big", body + b"]") * 4 + LAST)
        assert read_all(sock).count(b"HTTP/1.1 201") == 4
    asked_for = 40
    with server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(get("?limit=1000", stream="big") * asked_for + LAST)
        first = sock.recv(1000)
        if server.lanes is not None:
            assert server.lanes.pages.run < asked_for
        got = first + read_all(sock)
    assert got.count(b"HTTP/1.1 200 OK\r\n") == asked_for + 1
    assert got.count(b'yyyy"}') == asked_for * 1000
