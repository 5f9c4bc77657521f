"""What is wanted of the figures, in one place: each target, and whether a run reaches it.

A target names the figure it is about (`Item.key`), the row where it is told, and how to find its
number in the results of a run. What a run has not measured has no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from bench.hot_tenant import ALONE, BESIDE
from bench.kinds import routes
from bench.list_after import THEIRS as XRANGE
from bench.peers import redis
from bench.result import Result

Results = Mapping[str, Result]
LAST = "last"
NCHAN = "nchan, SSE, in memory"
FLAT_MAX = 1.25  # what is called flat here: a quarter more over four orders of magnitude
FILES_MAX = 4096 + 64 + 64  # `open_files_max`, 32 streams begun together, the process


class Target(NamedTuple):
    """
    Attributes:
        key: the figure in whose table it is told.
        wanted: at least this, or at most.
        row: the row there; "" is the first, ours, and LAST the last.
        short: what tells it from the other targets of the same table.
    """

    key: str
    words: str
    wanted: float
    find: Callable[[Results], float]
    row: str = ""
    at_most: bool = False
    form: str = ",.2f"
    short: str = ""

    @property
    def wish(self) -> str:
        return f"{'at most ' if self.at_most else ''}{self.wanted:,g}"

    def row_of(self, result: Result) -> str:
        return result.rows[-1] if self.row == LAST else self.row or result.rows[0]


class Verdict(NamedTuple):
    target: Target
    found: float

    @property
    def reached(self) -> bool:
        wanted = self.target.wanted
        return self.found <= wanted if self.target.at_most else self.found >= wanted

    def __str__(self) -> str:
        word = "reached" if self.reached else "missed"
        return f"{word}: {format(self.found, self.target.form)} of {self.target.wish}"


def ratio(key: str, row: str) -> Callable[[Results], float]:
    """Ours / theirs."""
    return lambda results: results[key].ratio(row)


def value(key: str, column: str, row: str = "") -> Callable[[Results], float]:
    return lambda results: results[key].value(row, column)


def p99_ratio(key: str, row: str) -> Callable[[Results], float]:
    return lambda found: found[key].value("", "p99_ms") / found[key].value(row, "p99_ms")


def spread(column: str, *keys: str) -> Callable[[Results], float]:
    """The largest of several figures against the smallest."""

    def found(results: Results) -> float:
        values = [results[key].value("", column) for key in keys]
        return max(values) / min(values)

    return found


def growth(column: str) -> Callable[[Results], float]:
    """The last row of `flat` against its first."""

    def found(results: Results) -> float:
        rows = list(results["flat"].figures)
        if len(rows) < 2:
            raise KeyError("flat")
        return results["flat"].value(rows[-1], column) / results["flat"].value(rows[0], column)

    return found


_PAGES = ("list_after/start", "list_after/middle", "list_after/end")

TARGETS = (
    Target(
        "embedded_append/64",
        "embedded appends, 64 producers, as a multiple of Redis",
        3,
        ratio("embedded_append/64", redis.NAME),
        redis.NAME,
    ),
    Target(
        "embedded_append/512",
        "embedded appends, 512 producers, as a multiple of Redis",
        5,
        ratio("embedded_append/512", redis.NAME),
        redis.NAME,
    ),
    Target(
        "http_append/1",
        "appends over HTTP, one a request, as a multiple of Redis over its own protocol",
        1,
        ratio("http_append/1", redis.NAME),
        redis.NAME,
    ),
    Target(
        "http_append/100",
        "appends over HTTP, 100 a request, events/s",
        150_000,
        value("http_append/100", "per_s"),
        form=",.0f",
    ),
    Target(
        "sse_fanout/1000",
        "SSE to 1,000 readers, deliveries as a multiple of nchan",
        3,
        ratio("sse_fanout/1000", NCHAN),
        NCHAN,
        short="deliveries",
    ),
    Target(
        "sse_fanout/1000",
        "SSE to 1,000 readers, p99 as a multiple of nchan's",
        1,
        p99_ratio("sse_fanout/1000", NCHAN),
        NCHAN,
        at_most=True,
        short="p99",
    ),
    Target(
        "hot_tenant",
        "a quiet tenant's p99 beside a hot one, as a multiple of its p99 alone",
        1.5,
        lambda found: (
            found["hot_tenant"].value(BESIDE, "p99_ms") / found["hot_tenant"].value(ALONE, "p99_ms")
        ),
        BESIDE,
        at_most=True,
    ),
    Target(
        "stalled_readers",
        "10 stalled readers while 40 MB pass, MB",
        50,
        value("stalled_readers", "grown_mb"),
        at_most=True,
        form=",.1f",
    ),
    *(
        Target(
            key,
            f"a page of 100 events {key.partition('/')[2]}, p50 ms",
            2,
            value(key, "p50_ms"),
            at_most=True,
        )
        for key in _PAGES
    ),
    Target(
        "list_after/end",
        "pages at start, middle and end, p50, the slowest as a multiple of the fastest",
        1.2,
        spread("p50_ms", *_PAGES),
        at_most=True,
        short="slowest of the three against the fastest",
    ),
    Target(
        "full_read",
        "a full read as a multiple of Redis XRANGE",
        1,
        ratio("full_read", XRANGE),
        XRANGE,
    ),
    Target(
        "cells/1000000",
        "an idle cell, bytes",
        400,
        value("cells/1000000", "bytes_each"),
        at_most=True,
        form=",.0f",
        short="bytes",
    ),
    Target(
        "cells/1000000",
        "activation without disk, µs",
        50,
        value("cells/1000000", "activation_us"),
        at_most=True,
        form=",.1f",
        short="activation",
    ),
    Target(
        "many_streams/100000",
        "100,000 streams used once each, most descriptors open",
        FILES_MAX,
        value("many_streams/100000", "files_most"),
        at_most=True,
        form=",.0f",
        short="descriptors",
    ),
    Target(
        "start/100000",
        "start of a server over 100,000 streams, seconds",
        2,
        value("start/100000", "seconds"),
        at_most=True,
    ),
    Target(
        "flat",
        "cost of an append, the last size as a multiple of the first",
        FLAT_MAX,
        growth("cpu_us"),
        LAST,
        at_most=True,
        short="cost",
    ),
    Target(
        "flat",
        "memory, the last size as a multiple of the first",
        FLAT_MAX,
        growth("rss_mb"),
        LAST,
        at_most=True,
        short="memory",
    ),
    *(
        Target(
            "kinds/route",
            f"a resolved route, {row.partition(':')[0]}, ns",
            1_000,
            value("kinds/route", "ns", row),
            row,
            at_most=True,
            form=",.0f",
        )
        for row in (routes.STREAM, routes.OTHERS)
    ),
)


def verdicts(results: Results) -> list[Verdict]:
    """Of all targets whose figures are there."""
    found = []
    for target in TARGETS:
        try:
            found.append(Verdict(target, target.find(results)))
        except (KeyError, ZeroDivisionError):
            continue
    return found


def missing_from(results: Results) -> list[Target]:
    measured = {verdict.target.words for verdict in verdicts(results)}
    return [target for target in TARGETS if target.words not in measured]
