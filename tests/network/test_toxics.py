"""The proxy of the other tests does what it says: a toxic that does nothing would prove nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.network.toxics import Proxy, Toxic, always
from tests.network.wire import Wire

SAID = b"0123456789" * 30


class _Echo:
    """Sends back what it hears, and remembers in which pieces it came and how it ended."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.pieces: list[int] = []
        self.ended_by = ""
        self.over = threading.Event()

    def run(self) -> None:
        connection, _ = self.listener.accept()
        try:
            while piece := connection.recv(1 << 16):
                self.pieces.append(len(piece))
                connection.sendall(piece)
            self.ended_by = "FIN"
        except ConnectionResetError:
            self.ended_by = "RST"
        connection.close()
        self.over.set()


@contextmanager
def echo() -> Iterator[tuple[_Echo, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heard = _Echo(listener)
        thread = threading.Thread(target=heard.run, daemon=True)
        thread.start()
        yield heard, listener.getsockname()[1]


def heard_back(wire: Wire, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := wire.socket.recv(count - len(data))):
        data += piece
    return data


def test_without_a_toxic_everything_gets_through() -> None:
    with echo() as (heard, port), Proxy(port) as proxy:
        with Wire(proxy.port) as wire:
            wire.send(SAID)
            assert heard_back(wire, len(SAID)) == SAID
            wire.half_close()
            assert wire.rest() == b""
        assert heard.over.wait(5)
        assert heard.ended_by == "FIN"


def test_slices_arrive_one_by_one() -> None:
    slow = Toxic(slice_bytes=1, pause_s=0.001)
    with echo() as (heard, port), Proxy(port, always(up=slow)) as proxy, Wire(proxy.port) as wire:
        wire.send(SAID)
        assert heard_back(wire, len(SAID)) == SAID
        assert len(heard.pieces) > len(SAID) / 3


def test_a_reset_hits_both_sides_after_so_many_bytes() -> None:
    with echo() as (heard, port), Proxy(port, always(down=Toxic(reset_after=100))) as proxy:
        with Wire(proxy.port) as wire:
            wire.send(SAID)
            heard_back(wire, 100)
            with pytest.raises(ConnectionResetError):
                wire.socket.recv(1)
        assert heard.over.wait(5)
        assert (heard.ended_by, proxy.cuts) == ("RST", 1)


def test_an_end_is_no_reset() -> None:
    with echo() as (heard, port), Proxy(port, always(up=Toxic(end_after=100))) as proxy:
        with Wire(proxy.port) as wire:
            wire.send(SAID)
            assert SAID[:100].startswith(wire.rest())  # whatever of the echo came before the end
        assert heard.over.wait(5)
        assert (heard.ended_by, sum(heard.pieces)) == ("FIN", 100)


def test_a_held_line_is_silent_until_it_is_let_go() -> None:
    with echo() as (_, port), Proxy(port) as proxy, Wire(proxy.port) as wire:
        proxy.hold = True
        wire.send(SAID)
        wire.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1)
        proxy.hold = False
        wire.socket.settimeout(5)
        assert heard_back(wire, len(SAID)) == SAID


def test_all_connections_can_be_cut_at_once() -> None:
    with echo() as (_, port), Proxy(port) as proxy, Wire(proxy.port) as wire:
        wire.send(b"x")
        assert wire.socket.recv(1) == b"x"
        began = time.monotonic()
        proxy.reset_all()
        with pytest.raises(ConnectionResetError):
            wire.socket.recv(1)
        assert time.monotonic() - began < 5
