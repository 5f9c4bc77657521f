"""One load of bench/kinds/, by its name: `--load tables.ours`. Prints its numbers as JSON."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import orjson

from bench.kinds.timing import Args


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    args = parser.parse_args()
    module, _, function = args.load.partition(".")
    load = getattr(importlib.import_module(f"bench.kinds.{module}"), function)
    found = load(Args(args.folder, args.size, args.seconds))
    print(orjson.dumps({"numbers": list(found or ())}).decode())


if __name__ == "__main__":
    main()
