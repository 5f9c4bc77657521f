"""One fault in one life: a child process lives under strace, and then it is judged.

The child is forked from a process that has imported everything, waits until strace has attached,
and goes: so a case costs tenths of a second, and strace counts the child's calls and no other's.
strace kills with `signal=SIGKILL` before the call is made; `error=` makes it fail without doing
anything. A write that stops half-way comes from short_writes.c, since strace cannot do that.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.doctor import examine
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.contracts.errors import EventspineError
from tests.adapters.filesystem.machine import STREAMS, TINY
from tests.faults.life import AFTERWARDS, GAVE_UP, SCRIPT, Ledger, Life, Step, abandon, which_of
from tests.faults.short_writes import ShortWrites
from tests.faults.volume import resize, small_disk

CALLS = ("pwritev2", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "fallocate")
CALLS_OF_NAMES = ("unlink", "mkdir")
TRACED = CALLS + CALLS_OF_NAMES
LIFE_S_MAX = 20.0
STUCK_S = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the n-th `call`.

    kind: `SIGKILL`; `EIO` or `ENOSPC`, once; `EIO+`: from then on, until the child gives up;
        `short`: a write does half its work and says so; `torn`: it does, and the process is gone;
        `power`: SIGKILL, and the file system loses what was not synced;
        `full`: the disk is a tmpfs of n KiB, and grows when the child is stuck; at the call
            "tmpfs" far enough, at "tmpfs page" by 16 KiB, so that it is full again and again.
    """

    kind: str
    call: str
    n: int

    @property
    def injection(self) -> str:
        """For `strace -e`."""
        what = "signal=SIGKILL" if self.kind in ("SIGKILL", "power") else f"error={self.kind}"
        when = f"{self.n}+" if self.kind.endswith("+") else f"{self.n}"
        return f"inject={self.call}:{what.rstrip('+')}:when={when}"

    def __str__(self) -> str:
        return f"{self.kind} at {self.call} {self.n}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`wrong` is empty when every promise was kept."""

    wrong: str = ""
    acknowledged: int = 0
    outages: int = 0
    refusals: int = 0
    met: bool = False  # whether the fault came to pass


def count_calls(root: Path, trace: Path) -> Counter[str]:
    """How often an undisturbed life makes each call, on an empty root."""
    ledger = Ledger()
    pid, go = _fork(root, ledger, lambda: None)
    with _strace(pid, ["-o", str(trace), "-e", f"trace={','.join(TRACED)}"]):
        go()
        status = _ended(pid)
    assert status == 0, ledger.message
    return Counter(re.findall(r"^(?:\d+ +)?(\w+)\(", trace.read_text(), re.MULTILINE))


def run_case(
    folder: Path, fault: Fault, writes: ShortWrites | None, cut: Callable[[], None] | None
) -> Outcome:
    """Live through a fault on an empty root below `folder`, and judge what is left."""
    root, ledger = folder / "root", Ledger()
    root.mkdir()
    if fault.kind == "full":
        with small_disk(root, fault.n):
            grow = 64 if fault.call == "tmpfs" else 16
            status, met = _live_on_small_disk(root, ledger, fault.n, grow)
            return _outcome(root, ledger, fault, status, met)
    if fault.kind in ("short", "torn"):
        assert writes is not None
        deadly = fault.kind == "torn"
        pid, go = _fork(root, ledger, lambda: writes.arm(fault.n, deadly=deadly))
        go()
        status = _ended(pid)
        met = not deadly or status == -signal.SIGKILL
    else:
        pid, go = _fork(root, ledger, lambda: None)
        trace = folder / "trace"
        options = ["-o", str(trace), "-e", f"trace={fault.call}", "-e", fault.injection]
        with _strace(pid, options):
            go()
            status = _ended(pid)
        met = status == -signal.SIGKILL or "(INJECTED)" in trace.read_text()
    if cut is not None:
        cut()
    return _outcome(root, ledger, fault, status, met)


def _outcome(root: Path, ledger: Ledger, fault: Fault, status: int, met: bool) -> Outcome:
    wrong = ledger.message
    deadly = met and fault.kind in ("SIGKILL", "power", "torn")
    wanted = -signal.SIGKILL if deadly else 0
    gave_up = fault.kind == "EIO+" and GAVE_UP in wrong  # and has to be whole all the same
    if gave_up or status == wanted:
        wrong = judge(root, ledger, doctor_first=fault.n % 2 == 0)
    elif not wrong:
        wrong = f"the child ended with {status}"
    return Outcome(wrong, ledger.acknowledged, ledger.outages, ledger.refusals, met)


def _live_on_small_disk(root: Path, ledger: Ledger, kilobytes: int, grow: int) -> tuple[int, bool]:
    """A life on a disk that gets more room whenever nothing moves; whether it had to."""
    pid, go = _fork(root, ledger, lambda: None)
    go()
    before, since, met = b"", time.monotonic(), False
    for _ in range(int(LIFE_S_MAX / 0.01)):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), met
        if ledger.progress() != before:
            before, since = ledger.progress(), time.monotonic()
        elif time.monotonic() - since > STUCK_S:
            kilobytes, since, met = kilobytes + grow, time.monotonic(), True
            resize(root, kilobytes)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), met


def judge(root: Path, ledger: Ledger, *, doctor_first: bool) -> str:
    """Open, look, go on, stop, read the files, ask the doctor: what is wrong, or nothing."""
    try:
        if doctor_first:
            found = examine(root, TINY, Disk())
            assert all(one.verdict != "damaged" for one in found), found
        store = FilesystemEventStreamStore.open(root, TINY, Disk(), start_flusher=False)
        try:
            script = _flat(ledger, which_of(store, ledger.models(SCRIPT)))
        finally:
            abandon(store)
        after = Ledger()
        for n in range(len(script)):
            after[n] = 2
        Life(root, after, (*script, *AFTERWARDS)).run()
        _check_files(root, after, (*script, *AFTERWARDS))
        found = examine(root, TINY, Disk())
        assert all(one.verdict == "ok" for one in found), found
    except (AssertionError, EventspineError, OSError) as error:
        return "".join(traceback.format_exception(error))[-3000:]
    return ""


def _flat(ledger: Ledger, which: int) -> tuple[Step, ...]:
    """The commits that happened."""
    begun = [n for n in range(len(SCRIPT)) if ledger[n] == 1]
    happened = {n for n in range(len(SCRIPT)) if ledger[n] == 2} | set(begun[: which and 1])
    return tuple(step for n, step in enumerate(SCRIPT) if n in happened)


def _check_files(root: Path, ledger: Ledger, script: tuple[Step, ...]) -> None:
    (model,) = ledger.models(script)
    for key in STREAMS:
        path = root / key / "events.jsonl"
        data = path.read_bytes() if path.exists() else b""
        lines = model[key].lines if key in model else []
        assert data == b"".join(line + b"\n" for line in lines), path
    assert not list(root.glob("commit_log/*.log"))


# --- the child ---


def _fork(root: Path, ledger: Ledger, arm: Callable[[], None]) -> tuple[int, Callable[[], None]]:
    """A child that lives once it is told to: its pid, and how to tell it."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.read(ready, 1)
            arm()
            Life(root, ledger).run()
            status = 0
        except BaseException as error:
            ledger.tell("".join(traceback.format_exception(error))[-3000:])
        finally:
            os._exit(status)
    os.close(ready)

    def go() -> None:
        os.write(tell, b"!")
        os.close(tell)

    return pid, go


@contextlib.contextmanager
def _strace(pid: int, options: list[str]) -> Iterator[None]:
    """strace attached to a process, until that has ended."""
    tracer = subprocess.Popen(
        ["strace", "-qq", *options, "-p", str(pid)],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 10
        while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text():
            if tracer.poll() is not None or time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                assert tracer.stderr is not None
                raise RuntimeError(f"strace did not attach: {tracer.stderr.read().decode()}")
            time.sleep(0.0005)
        yield
    finally:
        tracer.wait(10)
        assert tracer.stderr is not None
        tracer.stderr.close()


def _ended(pid: int) -> int:
    """The exit status of a child, negative for a signal. One that hangs is killed."""
    timer = threading.Timer(LIFE_S_MAX, os.kill, (pid, signal.SIGKILL))
    timer.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        timer.cancel()
        timer.join()
