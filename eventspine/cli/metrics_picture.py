"""Windows of a metric as a picture: blocks in a terminal, or a PNG. Groups share a scale.

Rules: in a terminal a column is one window, or where there are more windows than columns the
highest and the lowest of several, drawn as a span, so that no peak gets lost.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from eventspine.contracts.errors import ExtraMissing

HEIGHT = 12
GROUPS_MAX = 8  # in a terminal; a file takes all
WIDTH_MAX = 120
_EIGHTHS = " ▁▂▃▄▅▆▇█"
Span = tuple[float, float] | None


def groups_of(found: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The groups of an answer; windows that are not grouped are one."""
    groups: Sequence[Mapping[str, Any]] = found.get("groups") or [
        {"tags": {}, "windows": found.get("windows", [])}
    ]
    return groups


def of_points(metric_name: str, points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Points as they came, as something to be drawn."""
    windows = [{"start": point["ts"], "value": point["value"]} for point in points]
    return {"metric_name": metric_name, "aggregate": "as it came", "windows": windows}


def draw(found: Mapping[str, Any], width: int | None = None) -> str:
    """Lines of text: a title, each group's picture, all on one scale, and the range of time."""
    columns = (width or min(shutil.get_terminal_size().columns, WIDTH_MAX)) - 12
    groups = groups_of(found)
    drawn = [
        _spans([window["value"] for window in group["windows"]], max(columns, 10))
        for group in groups[:GROUPS_MAX]
    ]
    there = [span for spans in drawn for span in spans if span is not None]
    title = f"{found['metric_name']}  {found['aggregate']}  every {found['step_s']} s"
    if not there:
        return f"{title}\nno points from {found['start']} to {found['end']}"
    low, high = min(0.0, *(span[0] for span in there)), max(0.0, *(span[1] for span in there))
    lines = [title]
    for group, spans in zip(groups, drawn, strict=False):
        lines += [label_of(group)] if group["tags"] else []
        lines += _rows(spans, low, high)
    if len(groups) > GROUPS_MAX:
        lines.append(f"and {len(groups) - GROUPS_MAX} groups more")
    wide = max(map(len, drawn)) - len(found["start"])
    until = f"{found['end']:>{max(wide, len(found['end']) + 2)}}"
    return "\n".join([*lines, f"{'':>12}{found['start']}{until}"])


def label_of(group: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in group["tags"].items())


def _rows(spans: Sequence[Span], low: float, high: float) -> list[str]:
    rows = []
    for row in range(HEIGHT, 0, -1):
        label = {HEIGHT: high, 1: low}.get(row)
        scale = "" if label is None else f"{label:.4g}"
        cells = "".join(_cell(span, row, low, high - low or 1.0) for span in spans)
        rows.append(f"{scale:>10} ┤{cells}")
    return rows


def _spans(values: Sequence[float | None], columns: int) -> list[Span]:
    """Lowest and highest value of each column."""
    many = -(-len(values) // columns) or 1
    spans: list[Span] = []
    for at in range(0, len(values), many):
        there = [value for value in values[at : at + many] if value is not None]
        spans.append((min(there), max(there)) if there else None)
    return spans


def _cell(span: Span, row: int, low: float, room: float) -> str:
    """The part of a column in one row of the picture: filled up to its highest value."""
    if span is None:
        return " "
    height = (span[1] - low) / room * HEIGHT * 8  # in eighths of a row
    if span[0] != span[1] and row * 8 > (span[0] - low) / room * HEIGHT * 8 + 8:
        return "│" if height >= row * 8 - 4 else " "
    return _EIGHTHS[max(0, min(8, round(height) - (row - 1) * 8, 8))] if height > 0 else " "


def write_png(found: Mapping[str, Any], path: Path) -> None:
    """The picture as PNG. Raises ExtraMissing without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ExtraMissing("a picture in a file", "metrics") from None
    figure = Figure(figsize=(9, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    step = "steps-post" if "step_s" in found else "default"
    for group in groups_of(found):
        windows, label = group["windows"], _plain(label_of(group))
        times = [datetime.fromisoformat(window["start"]) for window in windows]
        values = [float("nan") if one["value"] is None else float(one["value"]) for one in windows]
        axes.plot(times, values, drawstyle=step, marker=".", linewidth=1.5, label=label)  # type: ignore[arg-type]
    if found.get("groups"):
        axes.legend()
    every = f", {found['step_s']} s" if "step_s" in found else ""
    axes.set_title(_plain(f"{found['metric_name']}: {found['aggregate']}{every}"))
    axes.grid(visible=True, alpha=0.3)
    figure.autofmt_xdate()
    canvas.print_png(path)  # type: ignore[no-untyped-call]


def _plain(text: str) -> str:
    """Without what matplotlib would take for formulas."""
    return text.replace("$", r"\$")
