"""Closed loops: so many workers that ask again when they have been answered, for so long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from threading import Thread
from typing import NamedTuple

PICKED = 100_000
SEED = 12


class Timed(NamedTuple):
    per_s: float
    p50_ms: float
    p99_ms: float


class Args(NamedTuple):
    """What a load is told: where its data is, how many records, how long it measures."""

    folder: Path
    size: int
    seconds: float


def picked(size: int, seed: int = SEED) -> list[int]:
    """Numbers of records to be used one after another, the same in every process."""
    dice = Random(seed)
    return [dice.randrange(size) for _ in range(PICKED)]


async def closed(workers: int, seconds: float, work: Callable[[int], Awaitable[object]]) -> Timed:
    """`work(n)` with n from 0 up, by tasks of one loop."""
    took: list[float] = []
    number = 0
    until = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal number
        clock = time.perf_counter
        while (began := clock()) < until:
            number += 1
            await work(number)
            took.append(clock() - began)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(workers)))
    return timed(took, time.perf_counter() - began)


def threaded(workers: int, seconds: float, work: Callable[[int], object]) -> Timed:
    """The same by threads; worker w has the numbers w, w + workers, …"""
    took: list[list[float]] = [[] for _ in range(workers)]
    until = time.perf_counter() + seconds

    def one(worker: int) -> None:
        clock, number = time.perf_counter, worker
        while (began := clock()) < until:
            work(number)
            took[worker].append(clock() - began)
            number += workers

    began = time.perf_counter()
    threads = [Thread(target=one, args=(worker,)) for worker in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return timed([each for all_of in took for each in all_of], time.perf_counter() - began)


def in_turn(seconds: float, work: Callable[[int], object]) -> Timed:
    """One after another, in this thread."""
    took: list[float] = []
    clock, number, began = time.perf_counter, 0, time.perf_counter()
    while (start := clock()) < began + seconds:
        work(number)
        took.append(clock() - start)
        number += 1
    return timed(took, clock() - began)


def timed(took: Sequence[float], seconds: float) -> Timed:
    ordered = sorted(took)
    return Timed(
        len(ordered) / seconds,
        ordered[len(ordered) // 2] * 1e3,
        ordered[int(len(ordered) * 0.99)] * 1e3,
    )
