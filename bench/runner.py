"""Runs benchmarks fairly: every contender once a round, round after round, medians at the end.

A first round is thrown away: it makes files, streams and connections that later rounds find.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bench import embedded_append, http_append, list_after, sse_fanout
from bench.stage import Contender, Figure, Stage


@dataclass(frozen=True, slots=True)
class Item:
    """One comparison: a table in the report."""

    title: str
    unit: str
    contenders: Callable[[Stage], list[Contender]]


@dataclass(slots=True)
class Result:
    title: str
    unit: str
    load_average: float
    figures: dict[str, list[Figure]] = field(default_factory=dict)

    def median(self, name: str) -> Figure:
        return Figure(*map(statistics.median, zip(*self.figures[name], strict=True)))

    def ratio(self, name: str) -> float:
        """Ours against another's: the median of the ratios of the rounds."""
        ours = next(iter(self.figures.values()))
        theirs = self.figures[name]
        return statistics.median([a.per_s / b.per_s for a, b in zip(ours, theirs, strict=True)])

    def as_dict(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "unit": self.unit,
            "load_average": self.load_average,
            "contenders": {
                name: {
                    "rounds": [figure._asdict() for figure in figures],
                    "median": self.median(name)._asdict(),
                    "ours_to_this": self.ratio(name),
                }
                for name, figures in self.figures.items()
            },
        }


def items(stage: Stage) -> dict[str, list[Item]]:
    """The benchmarks by name."""
    quick = stage.options.quick
    return {
        "embedded_append": [
            Item(
                embedded_append.TITLE.format(producers=producers),
                embedded_append.UNIT,
                partial(embedded_append.contenders, producers=producers),
            )
            for producers in ((64,) if quick else (64, 512))
        ],
        "http_append": [
            Item(
                http_append.TITLE.format(batch="one" if batch == 1 else batch),
                http_append.UNIT,
                partial(http_append.contenders, batch=batch),
            )
            for batch in ((1,) if quick else (1, 100))
        ],
        "sse_fanout": [
            Item(
                sse_fanout.TITLE.format(readers=f"{readers:,}"),
                sse_fanout.UNIT,
                partial(sse_fanout.contenders, readers=readers),
            )
            for readers in ((20,) if quick else (100, 1000))
        ],
        "list_after": [
            Item(
                list_after.TITLE.format(where=where, events=list_after.events(stage)),
                list_after.UNIT,
                partial(list_after.contenders, where=where),
            )
            for where in (("in the middle",) if quick else list_after.WHERE)
        ],
    }


def run(stage: Stage, names: Sequence[str]) -> list[Result]:
    known = items(stage)
    results = []
    for name in names or list(known):
        for item in known[name]:
            results.append(_run(stage, item))
            print(table(results[-1]), flush=True)
    return results


def _run(stage: Stage, item: Item) -> Result:
    contenders = item.contenders(stage)
    rounds = stage.options.rounds
    if not stage.options.quick:
        for contender in contenders:
            contender.measure()
    result = Result(item.title, item.unit, os.getloadavg()[0])
    for number in range(rounds):
        for contender in contenders:
            print(f"{item.title}: round {number + 1}, {contender.name}", file=sys.stderr)
            result.figures.setdefault(contender.name, []).append(contender.measure())
    return result


def table(result: Result) -> str:
    """A result for a terminal."""
    width = max([len(name) for name in result.figures], default=4)
    lines = [
        f"\n{result.title}   (load before: {result.load_average:.1f})",
        (
            f"{'':{width}} {result.unit:>24} {'ours/this':>9} {'p50 ms':>8} {'p99 ms':>8}"
            f" {'client CPU':>10} {'server µs':>9}"
        ),
    ]
    for name in result.figures:
        m = result.median(name)
        lines.append(
            f"{name:{width}} {m.per_s:24,.0f} {result.ratio(name):9.2f} {m.p50_ms:8.2f}"
            f" {m.p99_ms:8.2f} {m.client_cpu:10.0%} {m.server_us:9.1f}"
        )
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
