"""A process that runs cases: `python -m tests.faults.worker FOLDER [ext4|xfs]`.

Reads one fault a line as JSON, answers its outcome as JSON. Started with the shim of
short_writes.c where writes are to stop half-way; with a kind of file system, the roots are on an
image of it, and its power is cut after each case.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tests.faults.case import Fault, Outcome, run_case
from tests.faults.short_writes import ShortWrites
from tests.faults.volume import Kind, volume


def main(folder: Path, kind: Kind | None) -> None:
    logging.disable(logging.CRITICAL)
    writes = ShortWrites() if "LD_PRELOAD" in os.environ else None
    with ExitStack() as stack:
        place, cut = folder, None
        if kind is not None:
            disk = stack.enter_context(volume(folder / "disk", kind))
            place = disk.path

            def cut() -> None:
                disk.cut_power()
                disk.restore_power()

        for n, line in enumerate(sys.stdin):  # a cut may bring back what was removed before
            answer = _run(place / f"case-{n}", Fault(**json.loads(line)), writes, cut)
            print(json.dumps(asdict(answer)), flush=True)


def _run(
    folder: Path, fault: Fault, writes: ShortWrites | None, cut: Callable[[], None] | None
) -> Outcome:
    folder.mkdir()
    try:
        return run_case(folder, fault, writes, cut)
    except Exception as error:
        return Outcome("".join(traceback.format_exception(error))[-3000:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)  # type: ignore[arg-type]
