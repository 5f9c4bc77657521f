"""Rows of the kinds: each contender in a process of its own, over data that is filled in once.

Filling and measuring are two processes, so that the growth of memory is that of opening and using
what is there, and not of having made it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from bench.stage import Column, Contender, Missing, Row, Stage, run_load

SIZES = (10_000, 1_000_000)
GROWN = Column("grown_mb", "memory, growth in MB", ",.0f")


def sizes(stage: Stage, known: tuple[int, ...] = SIZES) -> tuple[int, ...]:
    if stage.options.tiny:
        return (200,)
    return known[:1] if stage.options.quick else known


def columns(*operations: str) -> tuple[Column, ...]:
    """For each operation its rate, p50 and p99; then memory. The first is what is compared."""
    found = []
    for one in operations:
        many = {"query": "queries", "search": "searches"}.get(one, f"{one}s")
        found += [
            Column(f"{one}_per_s", f"{many}/s"),
            Column(f"{one}_p50_ms", f"{one} p50 ms", ",.3f"),
            Column(f"{one}_p99_ms", f"{one} p99 ms", ",.3f"),
        ]
    return (*found, GROWN)


def needs(module: str) -> str | None:
    """Why a row is missing that needs a Python package."""
    if importlib.util.find_spec(module) is None:
        return f"{module} is not installed (scripts/setup-bench.sh)"
    return None


def shared_folder(stage: Stage, kind: str, size: int) -> Callable[[], Path]:
    """One folder for several rows, made when the first of them runs."""
    made: list[Path] = []

    def folder() -> Path:
        if not made:
            made.append(stage.place(f"{kind}-{size}"))
        return made[0]

    return folder


def embedded(
    stage: Stage,
    name: str,
    load: str,
    size: int,
    *,
    fill: str = "",
    folder: Callable[[], Path] | None = None,
    client: str = "in the process",
    missing: str | None = None,
) -> Row:
    """A row measured by `bench.load.kind`. `load`: a module of bench/kinds and its function."""
    if missing:
        return Missing(name, missing)
    place = folder or shared_folder(stage, load, size)
    filled = fill or f"{load}_fill"

    def measure() -> tuple[float, ...]:
        at = place()
        mark = at / filled
        if not mark.exists():
            run_load("kind", load=filled, folder=at, size=size, seconds=0)
            mark.touch()
        found = run_load("kind", load=load, folder=at, size=size, seconds=stage.seconds)
        return tuple(found["numbers"])

    return Contender(name, measure, client)
