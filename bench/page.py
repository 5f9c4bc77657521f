"""The figures as part of a page: Markdown tables between two marks, each with a chart beside it.

Each kind of store has marks of its own. What people wrote outside the marks stays as it is, and so
does a part that a run has measured nothing of: a run says of each part when it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.chart import chart
from bench.kinds.all import KINDS, PREFIX
from bench.result import Result
from bench.targets import Results, Target, Verdict, missing_from, verdicts

PARTS = ("", *KINDS, "route")  # "": all that is of no one kind
IMAGES = "img/performance"


def markdown(results: Results, machine: dict[str, Any], rounds: int) -> str:
    load = ", ".join(f"{value:.1f}" for value in machine["load_average"])
    lines = [
        (
            f"Run of {machine['when']}: {machine['minutes']:.0f} minutes on {machine['cores']} "
            f"cores, Linux {machine['kernel']}, Python {machine['python']}, load average at the "
            f"end {load}; {rounds} interleaved rounds, medians."
        ),
        *_summary(verdicts(results), _missing(results)),
    ]
    for result in results.values():
        told = [found for found in verdicts(results) if found.target.key == result.key]
        lines += ["", f"### {result.title[0].upper()}{result.title[1:]}", ""]
        lines += _table(result, told)
        image = f"{IMAGES}/{file_of(result)}"
        lines += ["", f"![{result.title}, as bars]({image})", ""]
        lines.append(f"Load average before: {result.load_average:.1f}.")
    return "\n".join(lines)


def _missing(results: Results) -> list[Target]:
    """Targets of these parts of the report without a figure."""
    parts = set(map(part_of, results))
    return [one for one in missing_from(results) if part_of(one.key) in parts]


def _summary(found: Sequence[Verdict], missing: Sequence[Target]) -> list[str]:
    if not found and not missing:
        return []
    lines = ["", "### Targets", "", "| target | figure | wanted | |", "| --- | ---: | ---: | --- |"]
    for verdict in found:
        target = verdict.target
        word = "reached" if verdict.reached else "**missed**"
        number = format(verdict.found, target.form)
        lines.append(f"| {target.words} | {number} | {target.wish} | {word} |")
    lines += [f"| {target.words} | | {target.wish} | not measured |" for target in missing]
    return lines


def _table(result: Result, told: Sequence[Verdict]) -> list[str]:
    """One row for everybody, with the targets at the rows they are about."""
    at: dict[str, list[str]] = {}
    for verdict in told:
        words = f"{verdict} ({verdict.target.short})" if verdict.target.short else str(verdict)
        at.setdefault(verdict.target.row_of(result), []).append(words)
    loaded, compares = any(result.clients.values()), result.compares
    headings = [column.heading for column in result.columns]
    headings += ["ours / this"] if compares else []
    more = ["loaded by"] * loaded + ["target"] * bool(at)
    lines = [
        f"| | {' | '.join([*headings, *more])} |",
        f"| --- |{' ---: |' * len(headings)}{' --- |' * len(more)}",
    ]
    for name in result.rows:
        cells = _cells(result, name)
        cells += [result.clients.get(name, "")] if loaded else []
        cells += ["; ".join(at.get(name, []))] if at else []
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cells(result: Result, name: str) -> list[str]:
    count = len(result.columns) + result.compares
    if name in result.missing:
        why = " ".join(result.missing[name].split()).replace("|", "/")
        return [why if name in result.failed else f"missing: {why}", *[""] * (count - 1)]
    numbers = zip(result.columns, result.median(name), strict=True)
    cells = [format(number, column.form) for column, number in numbers]
    if result.compares:
        cells.append(f"{result.ratio(name):.2f}" if result.rows[0] in result.figures else "")
    return cells


def file_of(result: Result) -> str:
    return result.key.replace("/", "-") + ".svg"


def write(page: Path, results: Results, machine: dict[str, Any], rounds: int) -> None:
    """Put tables and charts into the page, and take charts of an earlier run away."""
    images = page.parent / IMAGES
    images.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        found = {key: one for key, one in results.items() if part_of(key) == part}
        if not found:
            continue
        replace_figures(page, markdown(found, machine, rounds), part)
        for old in images.glob("*.svg"):
            if part_of(old.name.removesuffix(".svg").replace("-", "/")) == part:
                old.unlink()
        for result in found.values():
            (images / file_of(result)).write_text(chart(result))


def replace_figures(page: Path, text: str, part: str = "") -> None:
    """Put `text` between the marks of a part of the page; without a page, write one."""
    begin, end = marks_of(part)
    old = page.read_text() if page.exists() else _empty_page()
    before, begun, rest = old.partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise ValueError(f"{page} has no {begin} … {end}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def _empty_page() -> str:
    return "\n".join(["# Performance", *("\n{}\n{}".format(*marks_of(part)) for part in PARTS), ""])


def marks_of(part: str) -> tuple[str, str]:
    """The lines before and behind a part."""
    of = f" of {part}" if part else ""
    command = f"python -m bench {part}".rstrip()
    return f"<!-- figures{of}, written by {command} -->", f"<!-- end of the figures{of} -->"


def part_of(key: str) -> str:
    """The part a figure is in: its kind, or the one without a name."""
    return key.removeprefix(PREFIX).partition("/")[0] if key.startswith(PREFIX) else ""
