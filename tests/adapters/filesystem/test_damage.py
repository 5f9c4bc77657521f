"""Any flipped bit and any cut of a store's files is found, or put right from what is redundant."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from eventspine.contracts.errors import StoreCorrupt
from tests.adapters.filesystem.machine import ROOT, STREAMS, Machine

State = Literal["crashed", "crashed-flushed", "closed"]
HISTORY: list[tuple[str, ...]] = [
    *([("a4", "b1"), ("a6",), ("flush",), ("b2", "a1"), ("c3",), ("flush",)] * 4),
    ("close-c",),
    ("delete-b", "a4"),
    ("b3",),
    ("flush",),
    ("checkpoint",),
    ("a5", "b1"),
    ("a3",),
]


@cache
def machine_in(state: State) -> Machine:
    machine = Machine()
    assert machine.run(HISTORY)
    if state == "crashed-flushed":
        machine.step(("flush",))
        machine.step(("a2",))
    if state == "closed":
        machine.step(("close",))
    machine.crash("process")
    return machine


def files_of(state: State) -> list[Path]:
    return [path for path in machine_in(state).disk.files() if path.name != "seal"]


def outcome(state: State, path: Path, data: bytes) -> str:
    """`refused`, `damaged` or `whole`; anything else is a failure of the store."""
    machine = deepcopy(machine_in(state))
    machine.disk.damage(path, data)
    try:
        machine.open()
    except StoreCorrupt:
        return "refused"
    verdict = "whole"
    for key in STREAMS:
        try:
            found = machine.found(key)
        except StoreCorrupt:
            verdict = "damaged"
            continue
        assert found == machine.acked[key], f"{key} was altered"
    return verdict


def flips(data: bytes, every: int, rng: random.Random) -> Iterator[bytes]:
    for at in range(rng.randrange(every), len(data), every):
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.randrange(8)
        yield bytes(flipped)


def cuts(data: bytes, every: int, rng: random.Random) -> Iterator[bytes]:
    sizes = {
        *range(rng.randrange(every), len(data), every),
        *range(0, len(data), 64 if len(data) < 4096 else every),
    }
    for size in sorted(sizes):
        yield data[:size]


STATES: list[State] = ["crashed", "crashed-flushed", "closed"]
CASES = [(state, path) for state in STATES for path in files_of(state)]
IDS = [f"{state}:{path.relative_to(ROOT)}" for state, path in CASES]


def check(state: State, path: Path, every: int, seed: int) -> None:
    data = machine_in(state).disk.read_file(path)
    assert data is not None
    rng = random.Random(seed)
    for damaged in [*flips(data, every, rng), *cuts(data, every, rng)]:
        if damaged.rstrip(b"\0") != data.rstrip(b"\0"):
            outcome(state, path, damaged)


@pytest.mark.parametrize(("state", "path"), CASES, ids=IDS)
def test_damage_is_never_served(state: State, path: Path) -> None:
    check(state, path, 397, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("state", "path"), CASES, ids=IDS)
def test_no_damage_at_any_byte_is_ever_served(state: State, path: Path) -> None:
    check(state, path, 29, 2)


@pytest.mark.parametrize("name", ["checkpoint", "seal"])
@pytest.mark.parametrize("state", ["crashed", "crashed-flushed", "closed"])
def test_a_damaged_seal_or_checkpoint_costs_nothing(state: State, name: str) -> None:
    path = ROOT / "commit_log" / name
    data = machine_in(state).disk.read_file(path)
    assert data is not None
    for damaged in [b"", data[:63], bytes(64), data[:-1] + bytes([data[-1] ^ 1])]:
        assert outcome(state, path, damaged) == "whole"


@pytest.mark.parametrize("state", ["crashed", "crashed-flushed"])
def test_a_segment_that_is_missing_is_noticed(state: State) -> None:
    segments = [path for path in files_of(state) if path.suffix == ".log"]
    refused = 0
    for path in segments:
        machine = deepcopy(machine_in(state))
        machine.disk.unlink(path)
        try:
            machine.reopen()  # and find everything: it was behind the checkpoint
        except StoreCorrupt:
            refused += 1
    assert refused
    machine = deepcopy(machine_in(state))
    for path in segments:
        machine.disk.unlink(path)
    with pytest.raises(StoreCorrupt):
        machine.open()


def test_a_missing_first_segment_is_noticed_though_it_held_a_whole_stream() -> None:
    machine = Machine()
    assert machine.run([("a9",), ("b9",), ("c9",)])
    machine.crash("process")
    first, second, *_ = [path for path in machine.disk.files() if path.suffix == ".log"]
    assert first < second
    machine.disk.unlink(first)
    with pytest.raises(StoreCorrupt):
        machine.open()


def test_an_undamaged_store_is_whole() -> None:
    for state, path in CASES:
        data = machine_in(state).disk.read_file(path)
        assert data is not None
        assert outcome(state, path, data) == "whole"
