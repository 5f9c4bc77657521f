"""The end of a schedule: what is left when all is over, held against all that was said.

Either the power is cut once more, and everything must be there, in every way of reading it; or a
bit has rotted in a file meanwhile, and then what is missing must be refused, never left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import trio

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.doctor import Finding, examine
from eventspine.testing.simulated_threads import SimulatedThreads
from tests.simulation.ledger import row_of
from tests.simulation.life import Life
from tests.simulation.machine import ROOT, Machine
from tests.simulation.reader import PageReader
from tests.simulation.writer import Writer
from tests.torture.history import ReaderPosition

RIGHT = Life("stop", after_s=30.0)
ROT_PLACES = ("*.log", "*.log", "*.log", "events.jsonl", "events.idx", "events.ids.*")


async def judge(machine: Machine, writer: Writer, reader: PageReader, rot: float) -> None:
    """`rot`: how likely it is that a bit rots, if nothing has failed."""
    if machine.rng.random() < rot and not machine.disk_failed:
        await _write_and_be_killed(machine, writer)
        _rot(machine)
        await _read_everything(machine, reader)
        return
    machine.disk.crash("power")
    await _read_everything(machine, reader)
    await _examine(machine)
    _read_files(machine)
    machine.disk.crash("power")
    _read_files(machine)


async def _read_everything(machine: Machine, reader: PageReader) -> None:
    machine.operator_stops = trio.Event()

    async def read() -> None:
        for stream in list(machine.ledger.streams.values()):
            if not await reader.read_all(stream):
                stream.wrong("cannot be read at the end")
        machine.operator_stops.set()

    async with trio.open_nursery() as both:
        both.start_soon(read)
        await machine.live(RIGHT)
        both.cancel_scope.cancel()


async def _examine(machine: Machine) -> None:
    """The doctor, after a clean stop, finds nothing to do."""
    disk = cast(Disk, machine.disk)
    async with SimulatedThreads(machine.rng) as threads:
        storage = machine.settings.storage
        found: list[Finding] = await threads.run_sync(examine, ROOT, storage, disk, (), threads)
    for finding in found:
        if finding.verdict != "ok":
            machine.ledger.wrong(f"the doctor says: {finding}")


def _read_files(machine: Machine) -> None:
    """The files say the same, to whoever has nothing but `json`."""
    for stream in machine.ledger.streams.values():
        path = ROOT / "event_stream/t/dev/_" / stream.stream_id / "events.jsonl"
        position = ReaderPosition()
        for line in (machine.disk.read_file(path) or b"").split(b"\n")[:-1]:
            json.loads(line)
            stream.read_one(row_of(line)[1], line, position, "the file")


# --- a bit that rots ---


async def _write_and_be_killed(machine: Machine, writer: Writer) -> None:
    """A process killed at work leaves everything: log, seal, files half way behind."""
    machine.operator_stops = trio.Event()
    async with trio.open_nursery() as both:
        both.start_soon(machine.live, Life("kill", after_s=10.0))
        await writer.run(machine.rng.randint(1, 5))
        machine.operator_stops.set()


def _rot(machine: Machine) -> None:
    """Flip one bit of one file; often in the last record of the log."""
    rng, disk = machine.rng, machine.disk
    pattern = rng.choice(ROT_PLACES)
    found = [path for path in disk.files() if path.match(pattern)]
    if found:
        path: Path = found[-1] if pattern == "*.log" else rng.choice(found)
        data = bytearray(disk.read_file(path) or b"")
        used = len(data.rstrip(b"\0"))
        if used:
            at = rng.randrange(max(used - 300, 0) if rng.random() < 0.7 else 0, used)
            data[at] ^= 1 << rng.randrange(8)
            machine.rotten = True
            machine.trace.add("machine", f"byte {at} of {path.name} rots")
            disk.damage(path, bytes(data))
