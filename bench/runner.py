"""Runs benchmarks fairly: every contender once a round, round after round, medians at the end.

A first round is thrown away: it makes files, streams and connections that later rounds find. Who
is not installed, or fails, has a row that says so; the others go on.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from bench import (
    cells,
    embedded_append,
    flat,
    full_read,
    hot_tenant,
    http_append,
    list_after,
    long_stream,
    many_streams,
    sse_fanout,
    stalled_readers,
)
from bench.kinds.all import comparisons
from bench.result import FAILED, Result
from bench.stage import Column, Contender, Missing, Row, Stage, rate


class Item(NamedTuple):
    """One comparison: a table in the report."""

    key: str
    title: str
    columns: tuple[Column, ...]
    contenders: Callable[[Stage], list[Row]]
    rounds_max: int = 99
    warm: bool = True  # a first round is thrown away


def items(stage: Stage) -> dict[str, list[Item]]:
    """The benchmarks by name. `rounds_max` is 1 where one round takes minutes, or begins anew."""
    options = stage.options
    small = options.quick or options.tiny
    streams, sizes = many_streams.streams(stage), flat.sizes(stage)
    count = cells.cells(stage)
    return {
        "embedded_append": [
            Item(
                f"embedded_append/{producers}",
                embedded_append.TITLE.format(producers=producers),
                rate(embedded_append.UNIT),
                partial(embedded_append.contenders, producers=producers),
            )
            for producers in ((64,) if options.tiny else (64, 512))
        ],
        "http_append": [
            Item(
                f"http_append/{batch}",
                http_append.TITLE.format(batch="one" if batch == 1 else batch),
                rate(http_append.UNIT),
                partial(http_append.contenders, batch=batch),
            )
            for batch in (1, 100)
        ],
        "hot_tenant": [
            Item(
                "hot_tenant",
                hot_tenant.TITLE,
                rate(hot_tenant.UNIT)[:3],
                hot_tenant.contenders,
            )
        ],
        "sse_fanout": [
            Item(
                f"sse_fanout/{readers}",
                sse_fanout.TITLE.format(readers=f"{readers:,}"),
                rate(sse_fanout.UNIT),
                partial(sse_fanout.contenders, readers=readers),
            )
            for readers in ((20,) if options.tiny else (1000,) if options.quick else (100, 1000))
        ],
        "stalled_readers": [
            Item(
                "stalled_readers",
                stalled_readers.TITLE,
                stalled_readers.COLUMNS,
                stalled_readers.contenders,
                warm=False,
            )
        ],
        "list_after": [
            Item(
                f"list_after/{where}",
                list_after.TITLE.format(where=words, events=long_stream.events(stage)),
                rate(list_after.UNIT),
                partial(list_after.contenders, where=where),
            )
            for where, words in list_after.WHERE.items()
        ],
        "full_read": [
            Item(
                "full_read",
                full_read.TITLE.format(events=long_stream.events(stage)),
                rate(full_read.UNIT),
                full_read.contenders,
                warm=not small,
            )
        ],
        "cells": [
            Item(
                f"cells/{count}",
                cells.TITLE.format(cells=count),
                cells.COLUMNS,
                cells.contenders,
                rounds_max=1,
                warm=False,
            )
        ],
        "many_streams": [
            Item(
                f"many_streams/{streams}",
                many_streams.TITLE.format(streams=streams),
                many_streams.COLUMNS,
                many_streams.contenders,
                rounds_max=1,
                warm=False,
            ),
            Item(
                f"start/{streams}",
                many_streams.START_TITLE.format(streams=streams),
                many_streams.START_COLUMNS,
                many_streams.starts,
            ),
        ],
        "flat": [
            Item(
                "flat",
                flat.TITLE.format(first=sizes[0], last=sizes[-1]),
                flat.COLUMNS,
                flat.contenders,
                rounds_max=1,
                warm=False,
            )
        ],
        **{
            name: [Item(*one, warm=not small) for one in found]
            for name, found in comparisons(stage).items()
        },
    }


def run(stage: Stage, names: Sequence[str]) -> dict[str, Result]:
    """The figures by their keys, each printed as soon as it is there."""
    known = items(stage)
    results = {}
    for name in names or list(known):
        for item in known[name]:
            results[item.key] = _run(stage, item)
            print(table(results[item.key]), flush=True)
    return results


def _run(stage: Stage, item: Item) -> Result:
    contenders = item.contenders(stage)
    result = Result(item.key, item.title, item.columns, os.getloadavg()[0])
    able = []
    for row in contenders:
        result.rows.append(row.name)
        if isinstance(row, Missing):
            result.missing[row.name] = row.why
        else:
            result.clients[row.name] = row.client
            able.append(row)
    if item.warm and not stage.options.tiny:
        stage.warming = True
        for contender in able:
            _measure(contender, result, "warm")
        stage.warming = False
    for number in range(min(stage.options.rounds, item.rounds_max)):
        for contender in able:
            figure = _measure(contender, result, f"round {number + 1}")
            if figure:
                result.figures.setdefault(contender.name, []).append(figure)
    return result


def _measure(contender: Contender, result: Result, when: str) -> tuple[float, ...]:
    """Nothing where it failed, now or before."""
    if contender.name in result.missing:
        return ()
    print(f"{result.title}: {when}, {contender.name}", file=sys.stderr, flush=True)
    try:
        return contender.measure()
    except (RuntimeError, OSError, AssertionError, subprocess.SubprocessError) as error:
        result.missing[contender.name] = f"{FAILED}{str(error).strip()[:200]}"
        result.figures.pop(contender.name, None)
        print(f"{contender.name}: {error}", file=sys.stderr, flush=True)
        return ()


def table(result: Result) -> str:
    """A result for a terminal."""
    width = max(len(name) for name in result.rows)
    headings = [f"{column.heading:>{_wide(column)}}" for column in result.columns]
    lines = [
        f"\n{result.title}   (load before: {result.load_average:.1f})",
        " ".join([" " * width, *headings, *(["ours/this"] if result.compares else [])]),
    ]
    for name in result.rows:
        if name in result.missing:
            lines.append(f"{name:{width}} {result.missing[name]}")
            continue
        cells = [
            f"{format(number, column.form):>{_wide(column)}}"
            for column, number in zip(result.columns, result.median(name), strict=True)
        ]
        ratio = [f"{result.ratio(name):9.2f}"] if result.compares and _have_ours(result) else []
        lines.append(" ".join([f"{name:{width}}", *cells, *ratio]))
    return "\n".join(lines)


def _wide(column: Column) -> int:
    return max(10, len(column.heading))


def _have_ours(result: Result) -> bool:
    return result.rows[0] in result.figures


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
