"""The kinds of store as benchmarks: each beside its peer, at each size, by name.

Another kind is a module with TITLE, COLUMNS and `contenders(stage, size)`, and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from bench.kinds import ledger, memory, metrics, objects, routes, tables, vectors
from bench.kinds.rows import sizes
from bench.kinds.vector_data import dimensions
from bench.stage import Column, Row, Stage

PREFIX = "kinds/"  # of their keys: they have a section of their own in the report


class Kind(NamedTuple):
    title: str
    columns: tuple[Column, ...]
    contenders: Callable[[Stage, int], list[Row]]
    sizes: Callable[[Stage], tuple[int, ...]] = sizes


class Comparison(NamedTuple):
    """What the runner needs of one table of the report."""

    key: str
    title: str
    columns: tuple[Column, ...]
    contenders: Callable[[Stage], list[Row]]


KINDS: Mapping[str, Kind] = {
    "tables": Kind(tables.TITLE, tables.COLUMNS, tables.contenders),
    "ledger": Kind(ledger.TITLE, ledger.COLUMNS, ledger.contenders),
    "metrics": Kind(metrics.TITLE, metrics.COLUMNS, metrics.contenders),
    "vectors": Kind(vectors.TITLE, vectors.COLUMNS, vectors.contenders, vectors.vector_sizes),
    "objects": Kind(objects.TITLE, objects.COLUMNS, objects.contenders, objects.object_sizes),
    "memory": Kind(memory.TITLE, memory.COLUMNS, memory.contenders),
}


def _at(kind: Kind, size: int) -> Callable[[Stage], list[Row]]:
    return lambda stage: kind.contenders(stage, size)


def comparisons(stage: Stage) -> dict[str, list[Comparison]]:
    """The benchmarks by name; the last is the route that all of them go by."""
    found = {
        name: [
            Comparison(
                f"{PREFIX}{name}/{size}",
                kind.title.format(size=size, dimensions=dimensions(size)),
                kind.columns,
                _at(kind, size),
            )
            for size in kind.sizes(stage)
        ]
        for name, kind in KINDS.items()
    }
    found["route"] = [Comparison(f"{PREFIX}route", routes.TITLE, routes.COLUMNS, routes.contenders)]
    return found
