"""python -m bench [name …] [--rounds 5] [--quick] [--report docs/PERFORMANCE.md] [--json FILE]

Compares eventspine with its peers, interleaved in one run. `cells` measures the kernel alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from bench import page, runner
from bench.stage import Options, Stage

CELLS = "cells"


def main() -> None:
    args = _arguments()
    if CELLS in args.names:
        command = [sys.executable, "-m", "bench.cells", *(["1000"] if args.quick else [])]
        subprocess.run(command, check=True)
    names = [name for name in args.names if name != CELLS]
    if names or not args.names:
        _compare(names, args)


def _arguments() -> argparse.Namespace:
    known = [*runner.items(Stage(Path(), Options())), CELLS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(known))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short round of little")
    parser.add_argument("--report", type=Path, help="a page to put the figures into")
    parser.add_argument("--json", type=Path, help="a file for every round's figures")
    parser.add_argument("--folder", help="where the data goes: the disk under test")
    args = parser.parse_args()
    for name in args.names:
        if name not in known:
            parser.error(f"there is no benchmark {name}; there are: {', '.join(known)}")
    return args


def _compare(names: list[str], args: argparse.Namespace) -> None:
    options = Options(rounds=1 if args.quick else args.rounds, quick=args.quick)
    with TemporaryDirectory(dir=args.folder, ignore_cleanup_errors=True) as folder:
        stage = Stage(Path(folder), options)
        try:
            results = runner.run(stage, names)
        finally:
            stage.stop()
    for name, why in stage.skipped.items():
        print(f"skipped: {name}: {why}")
    machine = runner.machine()
    if args.json:
        found = {"machine": machine, "results": [result.as_dict() for result in results]}
        args.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if args.report:
        page.replace_figures(args.report, page.markdown(results, machine, options.rounds))
        image = args.report.parent / "img" / "performance.svg"
        image.parent.mkdir(exist_ok=True)
        image.write_text(page.chart(results))


if __name__ == "__main__":
    main()
