"""A thousand readers that take nothing: what each costs, and what everybody else notices."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.network.served import connections, descriptors, resident_bytes, served, within
from tests.network.wire import Wire, append, append_request, event, get_request, tail_request
from tests.torture.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

READERS = 1000
BYTES_EACH_MAX = 64 * 1024
PHASES = 25
PROBES = 300
SLOWER_MAX = 2.0
STREAM = "watched"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A process of its own, whose memory nobody else has used."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * READERS:
        pytest.skip(f"needs {2 * READERS} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * READERS), hard))
    with served(tmp_path, heartbeat_s=1.0) as server:
        for first in range(0, 1600, 200):
            append(server.port, STREAM, *[event(n, 2000) for n in range(first, first + 200)])
        yield server
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def stalled(server: Server, kind: str) -> Iterator[list[Wire]]:
    """Readers that ask and take nothing: of history, each from another place, or of what is new."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.port, receive_bytes=4096)) for _ in range(READERS)]
        for n, wire in enumerate(wires):
            if kind == "history":
                wire.send(tail_request(STREAM, f"{1:016d}_{n // 2 + 1:016d}"))
            else:
                wire.send(get_request(f"/v1/streams/{STREAM}/sse?after=latest"))
        yield wires


Took = tuple[float, float]  # p50 and p99, ms


def took_ms(ports: Sequence[int], probes: int) -> list[Took]:
    """Of durable appends to a stream that nobody reads, one after another, in turns.

    In turns, so that whatever else the machine does hits every server alike.
    """
    request = append_request("probe", event(0, 100))
    took: dict[int, list[float]] = {port: [] for port in ports}
    with ExitStack() as stack:
        wires = {port: stack.enter_context(Wire(port)) for port in ports}
        for _ in range(probes):
            for port, wire in wires.items():
                began = time.perf_counter()
                wire.send(request)
                assert wire.answer().status == 201
                took[port].append(time.perf_counter() - began)
    return [_quantiles_ms(took[port]) for port in ports]


def _quantiles_ms(took: list[float]) -> Took:
    quantiles = statistics.quantiles(took, n=100)
    return quantiles[49] * 1000, quantiles[98] * 1000


def push(port: int) -> None:
    """More than kernel and server keep for a reader: a megabyte, for all of them."""
    for _ in range(2):
        append(port, STREAM, *[event(n, 2000) for n in range(250)])


def have_stalled(server: Server, wires: list[Wire], kind: str) -> None:
    """Wait until every reader has its answer and the server no longer knows what to do for them."""
    assert within(30, lambda: all(_has_begun(wire) for wire in wires))
    if kind == "live":
        push(server.port)
    assert within(20, lambda: _is_quiet(server.pid))


@pytest.mark.parametrize("kind", ["history", "live"])
def test_a_stalled_reader_costs_little_and_gives_it_back(server: Server, kind: str) -> None:
    base_fd, base = descriptors(server.pid), resident_bytes(server.pid)
    with stalled(server, kind) as wires:
        have_stalled(server, wires, kind)
        each = (resident_bytes(server.pid) - base) / READERS
        assert connections(server.port) >= READERS, "somebody was sent away before the measurement"
        for wire in wires:
            wire.reset()
    assert within(2, lambda: descriptors(server.pid) <= base_fd + 2), "not within 2 s of the resets"
    print(f"\n{kind}: {each / 1024:.1f} KiB each")
    assert each <= BYTES_EACH_MAX, f"{each / 1024:.1f} KiB each"


@pytest.mark.alone
def test_appends_are_as_fast_beside_a_thousand_stalled_readers(
    server: Server, tmp_path: Path
) -> None:
    """Beside a second server that has none; phase by phase, since a p99 is the machine's, too."""
    (tmp_path / "alone").mkdir()
    with served(tmp_path / "alone", heartbeat_s=1.0) as alone, stalled(server, "live") as wires:
        have_stalled(server, wires, "live")
        ports = (alone.port, server.port)
        took_ms(ports, 50)
        phases = [took_ms(ports, PROBES) for _ in range(PHASES)]
        assert connections(server.port) >= READERS, "somebody was sent away meanwhile"
    p50, p99 = (
        statistics.median(beside[n] / without[n] for without, beside in phases) for n in (0, 1)
    )
    print(f"\nbeside / without: p50 {p50:.2f}, p99 {p99:.2f}")
    assert max(p50, p99) <= SLOWER_MAX, f"(p50, p99) ms without and beside, each phase: {phases}"


def _has_begun(wire: Wire) -> bool:
    """The head of the answer lies in the socket; it stays there."""
    return bool(wire.socket.recv(1, 2))  # MSG_PEEK


def _is_quiet(pid: int) -> bool:
    """Whether the process has nothing much to do, over a tenth of a second."""
    before = _cpu_ticks(pid)
    time.sleep(0.1)
    return _cpu_ticks(pid) - before <= 2


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_appends_go_on_while_a_thousand_readers_come_and_go(server: Server) -> None:
    """They come at once with much to read, and are reset with most of it before them."""
    slowest = 0.0
    with Wire(server.port) as probe:
        for _ in range(2):
            with stalled(server, "history") as wires:
                slowest = max(slowest, _slowest(probe, 1.0))
                for wire in wires:
                    wire.reset()
                slowest = max(slowest, _slowest(probe, 1.0))
    assert slowest < 5.0, f"an append took {slowest} s"


def _slowest(wire: Wire, seconds: float) -> float:
    request, slowest, until = append_request("beside", event(0)), 0.0, time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        wire.send(request)
        assert wire.answer().status == 201
        slowest = max(slowest, time.monotonic() - began)
    return slowest
