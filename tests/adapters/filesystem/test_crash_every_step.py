"""A scripted life of a store, with a crash at every one of its disk operations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventspine.adapters.filesystem.log.record import heads_in
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.adapters.filesystem.machine import JOURNALS, STREAMS, Machine
from tests.inner import examples, stride

Crash = Literal["process", "power", "both"]
AFTERWARDS: list[tuple[str, ...]] = [("a2", "b1", "c1"), ("flush",), ("c3", "a1"), ("close",)]

SCRIPT: list[tuple[str, ...]] = [
    ("a1",),
    ("a2", "b3"),
    ("flush",),
    ("a5", "c1"),
    ("flush",),
    ("checkpoint",),
    ("prepare",),
    ("b4",),
    ("close-b", "a1"),
    ("b1", "a7"),
    ("flush",),
    ("delete-a", "c2"),
    ("a2",),
    ("checkpoint",),
    ("close",),
    ("a3",),
    ("delete-c",),
    ("flush",),
    ("c2", "a3"),
    ("prepare",),
    ("flush",),
    ("checkpoint",),
    ("a9",),
    ("prepare",),
    ("close-a",),
    ("close",),
    ("c1",),
]

ROUND: list[tuple[str, ...]] = [  # the log goes round: a segment that was dropped is written again
    ("a1",),
    ("prepare",),
    ("b1",),
    ("c1",),
    ("c1",),
    ("prepare",),
    ("b1",),
    ("flush",),
    ("checkpoint",),
    ("c1",),
    ("a1",),
    ("b1",),
    ("flush",),
    ("checkpoint",),
    ("c1",),
    ("a1",),
    ("b1",),
]


ANEW: list[tuple[str, ...]] = [  # journals beside a stream, written anew in one commit of two parts
    ("a3", "b2"),
    ("c2",),
    ("flush",),
    ("a2",),
    ("delete-a", "a2"),
    ("a1", "b1"),
    ("flush",),
    ("checkpoint",),
    ("c4",),
    ("delete-c", "c1", "a1"),
    ("delete-a", "a3"),
    ("flush",),
    ("c1",),
    ("delete-c",),
    ("checkpoint",),
    ("close",),
    ("a1", "c2"),
    ("delete-a", "a1"),
    ("flush",),
]


def survive(machine: Machine, kind: Crash) -> None:
    """Crash, recover, check, go on, stop cleanly, check the files."""
    machine.crash("power" if kind == "power" else "process")
    machine.reopen()
    if kind == "both":  # what recovery has read must be on the platter by now
        machine.crash("power")
        machine.reopen()
    assert machine.run(AFTERWARDS)
    machine.check_files()
    machine.reopen()


def machine_of(seed: int, *, whole: bool) -> Machine:
    """A machine whose checkpoints sync the file system as a `whole`, or file by file."""
    return Machine(seed, 0 if whole else 1000)


def operations_of(steps: list[tuple[str, ...]], *, whole: bool) -> int:
    machine = machine_of(0, whole=whole)
    assert machine.run(steps)
    return machine.disk.operations


WAYS = pytest.mark.parametrize("whole", [False, True], ids=["files", "filesystem"])


@WAYS
@pytest.mark.parametrize(("kind", "start"), [("process", 1), ("power", 2), ("both", 3)])
def test_a_crash_at_a_disk_operation_loses_and_doubles_nothing(
    kind: Crash, start: int, whole: bool
) -> None:
    crash_at(kind, range(start, operations_of(SCRIPT, whole=whole) + 1, 3), 1, whole=whole)


@pytest.mark.parametrize("kind", ["process", "power", "both"])
@pytest.mark.parametrize("seed", range(2))
def test_a_crash_at_any_operation_of_a_log_that_goes_round_loses_nothing(
    kind: Crash, seed: int
) -> None:
    machine = machine_of(0, whole=True)
    assert machine.run(ROUND)
    over = [path for path in machine.disk.files() if is_written_over(machine.disk, path)]
    assert over, "no segment was written for the second time"
    crash_at(kind, range(1, machine.disk.operations + 1), seed, whole=True, script=ROUND)


@pytest.mark.parametrize("kind", ["process", "power", "both"])
@pytest.mark.parametrize("seed", [1])
@WAYS
def test_a_crash_while_journals_are_written_anew_loses_nothing(
    kind: Crash, seed: int, whole: bool
) -> None:
    machine = Machine(0, 0 if whole else 1000, JOURNALS)
    assert machine.run(ANEW)
    names = {path.name for path in machine.disk.files()}
    assert {"a.jsonl", "a.idx", "c.jsonl", "c.idx", "events.jsonl"} <= names
    every = range(1, machine.disk.operations + 1)
    crash_at(kind, every, seed, whole=whole, script=ANEW, streams=JOURNALS)


def is_written_over(disk: SimulatedDisk, path: Path) -> bool:
    """Whether a segment holds records from before it had its name."""
    data = disk.read_file(path) or b""
    first = int(path.stem) if path.suffix == ".log" else 0
    return any(head.lsn < first for _, head in heads_in(data, 0))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["process", "power", "both"])
@pytest.mark.parametrize("seed", [2, 3])
@WAYS
def test_a_crash_at_every_disk_operation_loses_and_doubles_nothing(
    kind: Crash, seed: int, whole: bool
) -> None:
    crash_at(kind, range(1, operations_of(SCRIPT, whole=whole) + 1), seed, whole=whole)


def crash_at(
    kind: Crash,
    operations: range,
    seed: int,
    *,
    whole: bool,
    script: list[tuple[str, ...]] = SCRIPT,
    streams: list[str] = STREAMS,
) -> None:
    for n in operations[:: stride(5)]:
        machine = Machine(1000 * seed + n, 0 if whole else 1000, streams)
        machine.disk.crash_at = n
        assert not machine.run(script), n
        try:
            survive(machine, kind)
        except BaseException as error:
            error.add_note(f"crash ({kind}) at operation {n}, seed {1000 * seed + n}")
            raise


STEP = st.one_of(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("abc"), st.integers(1, 6)).map(lambda a: f"{a[0]}{a[1]}"),
            st.sampled_from(["close-a", "close-b", "delete-a", "delete-b", "delete-c"]),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda word: word[-1] if "-" in word else word[0],
    ).map(tuple),
    st.sampled_from([("flush",), ("flush",), ("checkpoint",), ("prepare",), ("close",)]),
)


def random_lives(
    lives: list[tuple[list[tuple[str, ...]], int, Literal["process", "power"]]], seed: int
) -> None:
    machine = Machine(seed)
    for steps, after, kind in lives:
        machine.disk.crash_at = machine.disk.operations + after
        if machine.store is None:
            try:
                machine.reopen()
            except BaseException as error:
                if type(error).__name__ != "Crashed":
                    raise
                machine.crash(kind)
                continue
        machine.run(steps)
        machine.crash(kind)
    machine.reopen()
    assert machine.run([("a1", "b1", "c1"), ("close",)])
    machine.check_files()


LIVES = st.lists(
    st.tuples(
        st.lists(STEP, min_size=1, max_size=8),
        st.integers(1, 80),
        st.sampled_from(["process", "power"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(lives=LIVES, seed=st.integers(0, 2**20))
def test_random_lives_with_crashes_during_recovery_too(lives, seed) -> None:
    random_lives(lives, seed)


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
@given(lives=LIVES, seed=st.integers(0, 2**20))
def test_many_random_lives(lives, seed) -> None:
    random_lives(lives, seed)
