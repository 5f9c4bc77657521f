"""A fault at every n-th system call of a scripted life, and what is left of it.

The life (life.py) appends, sends batches, creates streams, rotates the log, makes checkpoints,
closes, deletes, stops, and recovers. A kill, an error, a short write, a power cut happens at the
n-th call, for each kind of call: in `make torture` at every single one, in `make test` at every
k-th, beginning at one drawn from the seed. Then everything acknowledged has to be there, nothing
twice, the store has to go on, and `doctor` has to find it clean.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.case import TRACED, Fault, count_calls
from tests.faults.pool import run_all
from tests.faults.short_writes import compiled
from tests.faults.volume import missing_for
from tests.torture.test_sigkill import SEED, report_of

EVERY = "EVENTSPINE_TORTURE_ROUNDS" in os.environ
SYNCS = ("fsync", "fdatasync", "pwritev2")
WRITES = ("pwrite64", "pwritev2")

pytestmark = [pytest.mark.torture, pytest.mark.root, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """How often the undisturbed life makes each call."""
    missing = missing_for("strace")
    if missing:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("count")
    (folder / "root").mkdir()
    return count_calls(folder / "root", folder / "trace")


def every(kind: str, calls: Counter[str], names: tuple[str, ...], step: int) -> list[Fault]:
    """A fault at every n-th call of these; at every `step`-th in `make test`."""
    faults = [Fault(kind, name, n) for name in names for n in range(1, calls[name] + 1)]
    if EVERY:
        return faults
    return faults[random.Random(f"calls {SEED} {kind}").randrange(step) :: step]


def check(folder: Path, faults: list[Fault], **how: object) -> None:
    """Run all; every promise kept, and every fault met."""
    name = "-".join(["calls", faults[0].kind, *([str(how["kind"])] if "kind" in how else [])])
    report = report_of(name)
    outcomes = run_all(folder, faults, **how)  # type: ignore[arg-type]
    for fault in faults:
        report.fault(f"{fault.kind} at {fault.call}")
    wrong = [(f, o.wrong) for f, o in zip(faults, outcomes, strict=True) if o.wrong]
    report.violations = len(wrong)
    report.figures = {
        "lives": len(faults),
        "events acknowledged": sum(outcome.acknowledged for outcome in outcomes),
        "times the store was opened anew": sum(outcome.outages for outcome in outcomes),
        "appends refused for want of space": sum(outcome.refusals for outcome in outcomes),
    }
    report.done()
    print(report.as_markdown())
    shown = "\n".join(f"{fault}: {said}" for fault, said in wrong[:3])
    assert not wrong, f"seed {SEED}: {len(wrong)} of {len(faults)} lives went wrong:\n{shown}"
    unmet = [str(fault) for fault, out in zip(faults, outcomes, strict=True) if not out.met]
    assert len(unmet) <= len(faults) // 20, f"seed {SEED}: never came to pass: {unmet}"


def test_the_life_makes_every_call_that_the_faults_hit(calls: Counter[str]) -> None:
    assert set(calls) == set(TRACED)
    assert calls["pwritev2"] >= 15


def test_a_crash_at_any_call_loses_and_doubles_nothing(calls: Counter[str], tmp_path: Path) -> None:
    check(tmp_path, every("SIGKILL", calls, TRACED, 5))


@pytest.mark.parametrize("kind", ["EIO", "ENOSPC"])
def test_an_error_of_any_call_loses_and_doubles_nothing(
    kind: str, calls: Counter[str], tmp_path: Path
) -> None:
    check(tmp_path, every(kind, calls, TRACED, 7))


def test_a_disk_that_fails_every_sync_from_some_moment_on_acknowledges_nothing(
    calls: Counter[str], tmp_path: Path
) -> None:
    check(tmp_path, every("EIO+", calls, SYNCS, 5))


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_power_cut_at_any_call_loses_and_doubles_nothing(
    kind: str, calls: Counter[str], tmp_path: Path
) -> None:
    missing = missing_for(kind)
    if missing:
        pytest.skip(missing)
    check(tmp_path, every("power", calls, TRACED, 20), kind=kind)


@pytest.mark.parametrize("kind", ["short", "torn"])
def test_a_write_that_stops_half_way_loses_and_doubles_nothing(
    kind: str, calls: Counter[str], tmp_path: Path
) -> None:
    shim = compiled(tmp_path)
    if shim is None:
        pytest.skip("needs a C compiler")
    count = Counter({"write": sum(calls[name] for name in WRITES)})
    check(tmp_path, every(kind, count, ("write",), 3), shim=shim)


def test_a_disk_that_is_full_at_any_page_loses_and_doubles_nothing(tmp_path: Path) -> None:
    missing = missing_for("tmpfs")
    if missing:
        pytest.skip(missing)
    sizes = range(4, 56, 4)  # the life needs 56 KiB
    check(tmp_path, [Fault("full", how, size) for how in ("tmpfs", "tmpfs page") for size in sizes])


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)
