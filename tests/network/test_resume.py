"""Readers whose line is cut again and again: no gap, no double, judged by the history checker.

The seed of a failure is in its message; it gives the cuts, not who is faster.
"""

from __future__ import annotations

import random
import threading
import time

import anyio
import httpx
import orjson
import pytest

from eventspine.client import EventspineClient, RetryPolicy
from tests.network.toxics import Plan, Proxy, Toxic
from tests.torture.history import History, digest_of
from tests.torture.readers import RawReader, follow_by_client, read_pages
from tests.torture.server import Server

pytestmark = pytest.mark.slow

SEED = 815
EVENTS = 200
READERS = 3
PATIENT = RetryPolicy(patience_s=60.0, first_s=0.01, longest_s=0.05)


def cutting(rng: random.Random, least: int = 2_600, most: int = 20_000) -> Plan:
    """A new misfortune for each connection, with bytes enough between two to get on."""

    def plan(number: int) -> tuple[Toxic, Toxic]:
        cut = rng.randrange(least, most)  # an opening has 2 KiB
        down = rng.choice(
            [
                Toxic(reset_after=cut),
                Toxic(end_after=cut),
                Toxic(slice_bytes=rng.randrange(20, 300), reset_after=cut),
                Toxic(slice_bytes=1000, pause_s=0.001, end_after=cut),
            ]
        )
        return Toxic(slice_bytes=rng.choice([7, 61, 1 << 16])), down

    return plan


def seldom(rng: random.Random) -> Plan:
    """For the client of this package, which comes back only when the server's `retry:` says."""
    return cutting(rng, 20_000, 60_000)


@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_a_reader_cut_again_and_again_misses_nothing_and_gets_nothing_twice(
    server: Server, seed: int
) -> None:
    rng = random.Random(seed)
    history, stream = History(), f"resumed-{seed}"
    with Proxy(server.port, cutting(rng)) as proxy, Proxy(server.port, seldom(rng)) as other:
        readers = anyio.run(_talk_and_follow, server.url, proxy, other, stream, history, rng)
    assert not history.violations, f"seed {seed}: {history.verdict()}"
    assert history[stream].read_last == EVENTS, f"seed {seed}"
    assert proxy.cuts > 3 * READERS, f"seed {seed}: {proxy.cuts} cuts are too few"
    assert other.cuts > 0, f"seed {seed}"
    assert all(reader.connections > 3 for reader in readers), f"seed {seed}"


async def _talk_and_follow(
    url: str, proxy: Proxy, other: Proxy, stream: str, history: History, rng: random.Random
) -> list[RawReader]:
    cut_url = f"http://127.0.0.1:{proxy.port}"
    readers = [RawReader(cut_url, stream, history, f"reader {n}") for n in range(READERS)]
    with anyio.fail_after(50):
        async with (
            EventspineClient(url, retry=PATIENT) as straight,
            EventspineClient(cut_url, retry=PATIENT, timeout_s=5.0) as cut,
            EventspineClient(f"http://127.0.0.1:{other.port}", retry=PATIENT) as own,
            httpx.AsyncClient(timeout=10.0, trust_env=False) as http,
            anyio.create_task_group() as group,
        ):
            for reader in readers:
                group.start_soon(reader.follow, http)
            group.start_soon(follow_by_client, own, stream, history, "tail")
            for name, client in (("straight", straight), ("cut", cut)):
                await _talk(client, stream, history, name, rng)
            await straight.close_stream(stream)
        async with EventspineClient(url) as pages:
            assert await read_pages(pages, stream, history, "pages") == EVENTS
    return readers


async def _talk(
    client: EventspineClient, stream: str, history: History, name: str, rng: random.Random
) -> None:
    number, end = 0, EVENTS // 2
    while number < end:
        count = min(rng.randrange(1, 12), end - number)
        events = [_said(name, n) for n in range(number, number + count)]
        history[stream].will_send(
            name,
            [(str(e["event_id"]), digest_of("said", orjson.dumps(e["payload"]))) for e in events],
        )
        answer = await client.append(stream, events, minimal=True)
        for event, cursor in zip(events, answer.cursors, strict=True):
            history[stream].acknowledge(str(event["event_id"]), cursor.sequence)
        number += count


def _said(name: str, number: int) -> dict[str, object]:
    payload = {"n": number, "text": "x" * (number * 37 % 200)}
    return {"event_id": f"{name}-{number}", "event_type": "said", "payload": payload}


def test_readers_of_a_line_that_went_dead_come_back_where_they_were(server: Server) -> None:
    """Nothing comes and nothing ends; a reader that waits for its heartbeat finds out."""
    history, stream = History(), "dead-line"

    async def main(proxy: Proxy) -> RawReader:
        reader = RawReader(f"http://127.0.0.1:{proxy.port}", stream, history, "reader")
        rng = random.Random(SEED)
        patience = httpx.Timeout(1.5, connect=5.0)  # three heartbeats of this server
        with anyio.fail_after(50):
            async with (
                EventspineClient(server.url, retry=PATIENT) as client,
                httpx.AsyncClient(timeout=patience, trust_env=False) as http,
                anyio.create_task_group() as group,
            ):
                await _talk(client, stream, history, "before", rng)
                group.start_soon(reader.follow, http)
                while history[stream].read_last < EVENTS // 2:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
                proxy.hold = True
                await _talk(client, stream, history, "meanwhile", rng)
                await client.close_stream(stream)
                threading.Thread(target=_let_go, args=(proxy,), daemon=True).start()
        return reader

    with Proxy(server.port) as proxy:
        reader = anyio.run(main, proxy)
    assert not history.violations, history.verdict()
    assert history[stream].read_last == EVENTS
    assert reader.connections >= 2


def _let_go(proxy: Proxy) -> None:
    time.sleep(2.0)  # longer than the reader waits for a heartbeat
    proxy.hold = False
