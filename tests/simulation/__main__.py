"""`python -m tests.simulation SEED [-v]`: one schedule again. `-n COUNT`: so many from SEED on."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.schedule import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("-v", "--verbose", action="store_true", help="tell what happens")
    parser.add_argument("-n", "--count", type=int, default=1, help="schedules, from SEED on")
    options = parser.parse_args()
    began, failed = time.perf_counter(), 0
    for seed in range(options.seed, options.seed + options.count):
        outcome = run(seed, print if options.verbose else None)
        failed += bool(outcome.verdict)
        if outcome.verdict or options.count == 1:
            print(outcome, flush=True)
    took = time.perf_counter() - began
    print(f"{options.count} schedules, {failed} failed, {1000 * took / options.count:.1f} ms each")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
