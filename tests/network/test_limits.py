"""Connections that take their time, against the documented limits of the real process.

Each limit is shortened in settings.toml; `DEADLINES` says what ends what, and how.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from eventspine.contracts.limits import Limits
from tests.network.served import connections, served, sockets, within
from tests.network.wire import (
    Wire,
    append,
    append_request,
    ask,
    event,
    get_request,
    numbers,
    tail_request,
)
from tests.torture.server import Server

pytestmark = pytest.mark.slow

READERS_OPEN = 'eventspine_readers{name="filesystem:."}'

SHORT = {
    "header_s_max": 0.6,
    "body_stall_s_max": 0.6,
    "body_s_max": 1.5,
    "keep_alive_s": 1.0,
    "connections_max": 60,
    "reader_stall_s_max": 1.0,
    "heartbeat_s": 0.5,
    "unanswered_s_max": 1.5,
    "long_poll_s_max": 1.0,
    "subscribers_max": 30,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("short"), **SHORT) as server:
        yield server


class Deadline(NamedTuple):
    """`first` is sent at once, then `piece` every `every_s`; ended after `limit`, with `status`."""

    limit: str
    first: bytes
    piece: bytes
    every_s: float
    status: int | None


HEADER = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
BODY = append_request("slow", event(0, 2000))
DEADLINES = {
    "says nothing": Deadline("header_s_max", b"", b"", 0.1, None),
    "stops in the headers": Deadline("header_s_max", HEADER, b"", 0.1, 408),
    "drips headers": Deadline("header_s_max", HEADER, b"X-A: b\r\n", 0.1, 408),
    "drips one header": Deadline("header_s_max", HEADER + b"X-A: ", b"b", 0.05, 408),
    "stops in the body": Deadline("body_stall_s_max", BODY[:-500], b"", 0.1, 408),
    "drips the body": Deadline("body_s_max", BODY[:-500], b"x", 0.05, 408),
    "rests between requests": Deadline("keep_alive_s", HEADER + b"\r\n", b"", 0.1, 200),
    "breaks off its second request": Deadline("header_s_max", HEADER + b"\r\nGET", b"", 0.1, 408),
}


@pytest.mark.parametrize("slow", DEADLINES.values(), ids=DEADLINES)
def test_who_is_slow_is_closed_by_the_limit_that_is_named(server: Server, slow: Deadline) -> None:
    assert slow.limit in Limits.model_fields
    began = time.monotonic()
    with Wire(server.port) as wire:
        wire.send(slow.first)
        heard, took_s = _drip(wire, slow, began)
    expected_s = SHORT[slow.limit]
    assert expected_s * 0.9 <= took_s <= expected_s + 2.0, f"{took_s} s"
    statuses = [int(piece[:3]) for piece in heard.split(b"HTTP/1.1 ")[1:]]
    assert statuses[-1:] == ([] if slow.status is None else [slow.status])
    if slow.status == 408:
        assert b"request_timeout" in heard
        assert b'"outcome":"never_ran"' in heard
    assert numbers(server.port, "slow") == []


def _drip(wire: Wire, slow: Deadline, began: float) -> tuple[bytes, float]:
    heard = b""
    wire.socket.settimeout(slow.every_s)
    while time.monotonic() - began < 10:
        try:
            piece = wire.socket.recv(1 << 16)
            heard += piece
            if not piece:
                return heard, time.monotonic() - began
        except TimeoutError:
            wire.send(slow.piece)
        except ConnectionResetError:
            return heard, time.monotonic() - began
    raise AssertionError("it was not closed within 10 s")


def test_a_slow_writer_within_the_limits_is_served(server: Server) -> None:
    request = append_request("patient", event(0, 40))
    with Wire(server.port) as wire:
        wire.send(request[:-20])
        for at in range(len(request) - 20, len(request)):
            time.sleep(0.03)  # the slow writer this is about
            wire.send(request[at : at + 1])
        assert wire.answer().status == 201


def test_a_body_that_waits_for_the_server_is_not_the_clients_fault(server: Server) -> None:
    """A long-poll holds the connection; what is pipelined behind it waits longer than it may."""
    body = append_request("held-up", event(0, 100_000))
    with Wire(server.port) as wire:
        wire.send(get_request("/v1/streams/held-up/events?wait=1") + body)
        assert wire.answer().status == 200
        assert wire.answer().status == 201


def test_one_connection_too_many_is_told_so_and_the_others_are_served(server: Server) -> None:
    limit = int(SHORT["connections_max"])
    base = sockets(server.pid)
    wires = [Wire(server.port) for _ in range(limit + 10)]
    for wire in wires:
        wire.send(get_request("/healthz"))
    refused = 0
    for wire in wires:
        data = wire.until(b"\r\n\r\n")
        refused += b" 503 " in data[:20]
        assert b" 503 " not in data[:20] or b"retry-after: 1" in data
    assert 10 <= refused <= 12
    for wire in wires:
        wire.reset()
    assert within(2, lambda: sockets(server.pid) <= base)
    assert ask(server.port, get_request("/healthz")).status == 200


def test_one_reader_too_many_is_told_to_come_back(server: Server) -> None:
    limit = int(SHORT["subscribers_max"])
    readers = [Wire(server.port) for _ in range(limit)]
    for reader in readers:
        reader.send(tail_request("crowded"))
        reader.until(b"retry: ")
    with Wire(server.port) as late:
        late.send(tail_request("crowded"))
        told = late.until(b"event: end")
        told += late.rest()
    assert b'"reason":"overloaded","retry":true' in told
    for reader in readers:
        reader.reset()

    def comes_in() -> bool:
        with Wire(server.port) as again:
            again.send(tail_request("crowded"))
            said = again.until(b"\n:")
            again.socket.settimeout(0.3)
            return b"event: end" not in said + _soon(again)

    assert within(5, comes_in)


def _soon(wire: Wire) -> bytes:
    try:
        return wire.socket.recv(1 << 16)
    except TimeoutError:
        return b""


def test_a_reader_that_takes_nothing_is_sent_away_and_resumes_by_cursor(server: Server) -> None:
    for first in range(0, 2000, 250):
        append(server.port, "stalls", *[event(n, 4000) for n in range(first, first + 250)])
    with Wire(server.port, receive_bytes=4096) as wire:
        wire.send(tail_request("stalls"))
        assert within(2, lambda: server.figure(READERS_OPEN) == 1)
        assert within(6, lambda: server.figure(READERS_OPEN) == 0)
        taken = wire.rest()
    whole = taken[: taken.rindex(b"\n\n")]
    last = whole[whole.rindex(b"\nid: ") + 5 :][:33]
    seen = whole.count(b"\nid: ")
    assert 0 < seen < 2000
    with Wire(server.port) as wire:
        wire.send(tail_request("stalls", last.decode()))
        rest = wire.until(b'"n":1999,')
    following = rest[rest.index(b"\nid: ") + 5 :][:33]
    assert int(following[-16:]) == int(last[-16:]) + 1
    assert rest.count(b"\nid: ") == 2000 - seen


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's TCP_USER_TIMEOUT")
def test_an_answer_that_nobody_takes_is_cut(server: Server) -> None:
    for first in range(0, 2000, 250):
        append(server.port, "untaken", *[event(n, 4000) for n in range(first, first + 250)])
    with Wire(server.port, receive_bytes=4096) as wire:
        wire.send(get_request("/v1/streams/untaken/events?limit=10000"))
        assert within(2, lambda: connections(server.port) == 1)
        assert within(6, lambda: connections(server.port) == 0)
        assert len(wire.rest()) < 8_000_000
