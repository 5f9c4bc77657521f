"""What a connection took is given back when it ends, and it ends when nobody is there."""

from __future__ import annotations

import pytest

from tests.network.served import at_rest, descriptors, within
from tests.network.wire import (
    Wire,
    append,
    append_request,
    event,
    get_request,
    numbers,
    tail_request,
)
from tests.torture.server import Server

pytestmark = pytest.mark.slow

UNFLUSHED = 'eventspine_store_details{name="filesystem:.",of="unflushed_streams"}'
SLACK = 2  # files of streams, opened and closed as they are written


def base_of(server: Server) -> int:
    """What it has open at rest, with the files of the streams of these tests."""
    append(server.port, "fd", event(0))
    numbers(server.port, "fd")
    assert within(10, lambda: server.figure(UNFLUSHED) == 0)
    return at_rest(lambda: descriptors(server.pid))


REQUESTS = {
    "silent": b"",
    "half a header": b"GET /v1/streams/fd/events HT",
    "half a body": append_request("fd", event(1, 3000))[:-1000],
    "an answer nobody takes": get_request("/v1/streams/fd/events"),
    "a long-poll": get_request("/v1/streams/fd/events?wait=50&after=latest"),
    "a live reader": tail_request("fd"),
    "several streams": get_request("/v1/sse?streams=fd,fd2,fd3"),
    "between two requests": get_request("/healthz"),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_descriptors_are_back_within_two_seconds_of_a_reset(
    server: Server, request_: bytes
) -> None:
    base = base_of(server)
    wires = [Wire(server.port) for _ in range(150)]
    for wire in wires:
        wire.send(request_)
    assert within(5, lambda: descriptors(server.pid) >= base + 150)
    for wire in wires:
        wire.reset()
    assert within(2, lambda: descriptors(server.pid) <= base + SLACK), (
        descriptors(server.pid) - base
    )


def test_a_storm_of_connections_leaves_nothing_behind(server: Server) -> None:
    base = base_of(server)
    done = 0
    for n in range(1500):
        with Wire(server.port) as wire:
            if n % 3 == 0:
                wire.send(append_request("storm", event(n), key=f"storm-{n}"))
                done += wire.answer().status == 201
            elif n % 3 == 1:
                wire.send(REQUESTS["half a body"])
                wire.reset()
    assert done == 500
    assert numbers(server.port, "storm") == list(range(0, 1500, 3))
    assert within(2, lambda: descriptors(server.pid) <= base + SLACK + 2)


def test_a_storm_at_once_is_served_to_the_last_connection(server: Server) -> None:
    base = base_of(server)
    wires = [Wire(server.port) for _ in range(600)]
    for n, wire in enumerate(wires):
        wire.send(append_request("at-once", event(n)))
    assert [wire.answer().status for wire in wires] == [201] * 600
    assert sorted(numbers(server.port, "at-once")) == list(range(600))
    for wire in wires:
        wire.socket.close()
    assert within(2, lambda: descriptors(server.pid) <= base + SLACK + 2)


@pytest.mark.root
def test_a_peer_that_lost_its_power_is_let_go_with_the_next_heartbeat(server: Server) -> None:
    """No FIN and no RST; its address answers with RST once somebody talks to it."""
    base = base_of(server)
    wires = [Wire(server.port) for _ in range(50)]
    for wire in wires:
        wire.send(tail_request("fd"))
        wire.until(b"\nid: ")
    try:
        for wire in wires:
            wire.vanish()
    except PermissionError:
        pytest.skip("needs CAP_NET_ADMIN, to end a connection without telling the other side")
    assert within(2, lambda: descriptors(server.pid) <= base + SLACK)
