"""python -m bench [name …] [--rounds 3] [--quick] [--report docs/PERFORMANCE.md] [--json FILE]

Compares eventspine with its peers, interleaved in one run; `kinds` are all kinds of store. `python
-m bench.cells` tells more of the kernel. The exit status is 1 where one of our own rows failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from bench import page, runner, targets
from bench.kinds.all import comparisons
from bench.stage import Options, Stage

KINDS = "kinds"


def main() -> None:
    args = _arguments()
    small = args.quick or args.tiny
    options = Options(rounds=1 if small else args.rounds, quick=args.quick, tiny=args.tiny)
    began = time.monotonic()
    with TemporaryDirectory(dir=args.folder, ignore_cleanup_errors=True) as folder:
        stage = Stage(Path(folder), options)
        try:
            results = runner.run(stage, args.names)
        finally:
            stage.stop()
    machine = {**runner.machine(), "minutes": (time.monotonic() - began) / 60}
    print(f"\n{machine['minutes']:.1f} minutes")
    found = targets.verdicts(results)
    for verdict in found:
        print(f"{verdict.target.words}: {verdict}")
    if args.json:
        _write_json(args.json, results, machine, found)
    if args.report:
        page.write(args.report, results, machine, options.rounds)
    if any(result.rows[0] in result.failed for result in results.values()):
        sys.exit(1)


def _write_json(
    path: Path,
    results: targets.Results,
    machine: dict[str, object],
    found: list[targets.Verdict],
) -> None:
    told = [
        {"target": verdict.target.words, "found": verdict.found, "reached": verdict.reached}
        for verdict in found
    ]
    everything = {
        "machine": machine,
        "results": [result.as_dict() for result in results.values()],
        "targets": told,
    }
    path.write_bytes(orjson.dumps(everything, option=orjson.OPT_INDENT_2))


def _arguments() -> argparse.Namespace:
    known = runner.items(Stage(Path(), Options()))
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join([*known, KINDS]))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one short round, in minutes")
    parser.add_argument("--tiny", action="store_true", help="that it runs; no figures to believe")
    parser.add_argument("--report", type=Path, help="a page to put the figures into")
    parser.add_argument("--json", type=Path, help="a file for every round's figures")
    parser.add_argument("--folder", help="where the data goes: the disk under test")
    args = parser.parse_args()
    kinds = comparisons(Stage(Path(), Options()))
    args.names = [one for name in args.names for one in (kinds if name == KINDS else [name])]
    for name in args.names:
        if name not in known:
            parser.error(f"there is no benchmark {name}; there are: {', '.join(known)}")
    return args


if __name__ == "__main__":
    main()
