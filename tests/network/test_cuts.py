"""Connections that break in the middle of something: what was promised holds, and once is once."""

from __future__ import annotations

import contextlib
import json
import random

import pytest

from tests.network.served import sockets, within
from tests.network.toxics import Proxy, Toxic, always
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

BYTE_BY_BYTE = Toxic(slice_bytes=1)
SEED = 20_261


def test_one_byte_slices_both_ways_change_nothing(server: Server) -> None:
    direct = append(server.port, "sliced", event(0, 300))
    with (
        Proxy(server.port, always(BYTE_BY_BYTE, BYTE_BY_BYTE)) as proxy,
        Wire(proxy.port) as wire,
    ):
        wire.send(append_request("sliced", event(1, 300)))
        sliced = wire.answer()
        wire.send(get_request("/v1/streams/sliced/events"))
        page = wire.answer().json
        wire.send(tail_request("sliced"))
        tail = wire.until(b'"n":1')
    assert (direct.status, sliced.status) == (201, 201)
    assert [e["payload"]["n"] for e in page["events"]] == [0, 1]
    assert tail.count(b"\nid: ") == 2


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_a_reset_inside_the_request_stores_all_of_it_or_nothing(server: Server, seed: int) -> None:
    rng = random.Random(seed)
    stream = f"cut-request-{seed}"
    stored: list[int] = []
    for n in range(12):
        request = append_request(stream, event(2 * n, 400), event(2 * n + 1, 400))
        up = Toxic(reset_after=rng.randrange(1, len(request) + 1))
        with Proxy(server.port, always(up=up)) as proxy, Wire(proxy.port) as wire:
            wire.send(request)
            wire.rest()
            assert proxy.cuts == 1, f"seed {seed}"
        if up.reset_after < len(request):  # else it was whole, and may be stored
            assert numbers(server.port, stream) == stored, f"seed {seed}"
        else:
            stored = numbers(server.port, stream)
    assert append(server.port, stream, event(99)).status == 201
    assert numbers(server.port, stream) == [*stored, 99], f"seed {seed}"


@pytest.mark.parametrize("ending", ["half-close", "close", "reset"])
def test_a_truncated_body_stores_nothing_and_holds_nothing(server: Server, ending: str) -> None:
    append(server.port, f"truncated-{ending}", event(0))
    before = sockets(server.pid)
    request = append_request(f"truncated-{ending}", event(1, 5000), event(2, 5000))
    for cut in (1, 20, len(request) // 2, len(request) - 1):
        with Wire(server.port) as wire:
            wire.send(request[:cut])
            if ending == "half-close":
                wire.half_close()
                assert b" 201 " not in wire.rest()
            elif ending == "reset":
                wire.reset()
    assert within(2, lambda: sockets(server.pid) <= before)
    assert numbers(server.port, f"truncated-{ending}") == [0]


@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_a_client_that_vanishes_during_its_append_gets_one_event_by_its_key(
    server: Server, seed: int
) -> None:
    """Its connection ends before, while or after the event is stored; it cannot know which."""
    rng = random.Random(seed)
    stream, count = f"vanishing-{seed}", 40
    for n in range(count):
        request = append_request(stream, event(n, 100), key=f"key-{n}")
        for _ in range(rng.randrange(1, 4)):
            _send_and_go(server.port, request, rng)
        answer = ask(server.port, request)
        assert answer.status in (200, 201), f"seed {seed}"
        assert [e["payload"]["n"] for e in answer.json["events"]] == [n], f"seed {seed}"
    assert numbers(server.port, stream) == list(range(count)), f"seed {seed}"


def _send_and_go(port: int, request: bytes, rng: random.Random) -> None:
    with Wire(port) as wire:
        wire.send(request)
        if rng.random() < 0.5:  # some answers are on their way when it goes
            wire.socket.settimeout(rng.uniform(0.0001, 0.003))
            with contextlib.suppress(TimeoutError, BlockingIOError):
                wire.socket.recv(1)
        if rng.random() < 0.7:
            wire.reset()


@pytest.mark.parametrize("cut", [Toxic(reset_after=90_000), Toxic(end_after=90_000)])
def test_an_answer_cut_in_the_middle_is_read_on_by_another_connection(
    server: Server, cut: Toxic
) -> None:
    stream = f"cut-answer-{'reset' if cut.reset_after < 1e9 else 'end'}"
    append(server.port, stream, *[event(n, 1000) for n in range(200)])
    with Proxy(server.port, always(down=cut)) as proxy, Wire(proxy.port) as wire:
        wire.send(get_request(f"/v1/streams/{stream}/events?limit=1000"))
        whole = wire.rest()
        assert len(whole) <= 90_000
        _, _, body = whole.partition(b"\r\n\r\n")
        if body:  # an RST may have taken it away, too
            with pytest.raises(json.JSONDecodeError):
                json.loads(body)
    assert numbers(server.port, stream) == list(range(200))


def test_pipelined_appends_are_stored_and_answered_in_their_order(server: Server) -> None:
    requests = [append_request("pipelined", event(n)) for n in range(50)]
    with Wire(server.port) as wire:
        wire.send(b"".join(requests))
        answers = [wire.answer() for _ in requests]
    assert [answer.json["events"][0]["payload"]["n"] for answer in answers] == list(range(50))
    assert numbers(server.port, "pipelined") == list(range(50))


def test_a_pipeline_cut_in_the_middle_leaves_a_prefix_of_it(server: Server) -> None:
    pipeline = b"".join(append_request("cut-pipeline", event(n)) for n in range(60))
    with Wire(server.port) as wire:
        wire.send(pipeline[: len(pipeline) * 2 // 3])
        wire.answer()
        wire.reset()
    assert append(server.port, "cut-pipeline", event(99)).status == 201
    found = numbers(server.port, "cut-pipeline")
    assert found[-1] == 99
    assert found[:-1] == list(range(len(found) - 1))
    assert 1 <= len(found) - 1 <= 40


def test_a_dead_line_delays_its_own_request_and_nobody_elses(server: Server) -> None:
    """The client is there and waits; the line takes bytes and hands none on."""
    with Proxy(server.port) as proxy, Wire(proxy.port) as wire:
        wire.send(append_request("dead-line", event(0)))
        assert wire.answer().status == 201
        proxy.hold = True
        wire.send(append_request("dead-line", event(1), key="held"))
        assert append(server.port, "dead-line", event(2)).status == 201
        assert numbers(server.port, "dead-line") == [0, 2]
        proxy.hold = False
        assert wire.answer().status == 201
    again = append(server.port, "dead-line", event(1), key="held")
    assert (again.status, again.json["duplicates"]) == (200, 1)
    assert numbers(server.port, "dead-line") == [0, 2, 1]
