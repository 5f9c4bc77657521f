"""Windows of a metric as a picture: blocks in a terminal, or a PNG.

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
WIDTH_MAX = 120
_EIGHTHS = " ▁▂▃▄▅▆▇█"
Span = tuple[float, float] | None


def draw(found: Mapping[str, Any], width: int | None = None) -> str:
    """Lines of text: a title, the picture with its scale, the range of time."""
    columns = (width or min(shutil.get_terminal_size().columns, WIDTH_MAX)) - 12
    spans = _spans([window["value"] for window in found["windows"]], max(columns, 10))
    there = [span for span in spans if span is not None]
    title = f"{found['metric_name']}  {found['aggregate']}  every {found['step_s']} s"
    if not there:
        return f"{title}\nno points from {found['start']} to {found['end']}"
    low, high = min(0.0, *(span[0] for span in there)), max(0.0, *(span[1] for span in there))
    room = high - low or 1.0
    rows = []
    for row in range(HEIGHT, 0, -1):
        label = {HEIGHT: high, 1: low}.get(row)
        scale = "" if label is None else f"{label:.4g}"
        rows.append(f"{scale:>10} ┤" + "".join(_cell(span, row, low, room) for span in spans))
    until = f"{found['end']:>{max(len(spans) - len(found['start']), len(found['end']) + 2)}}"
    return "\n".join([title, *rows, f"{'':>12}{found['start']}{until}"])


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
    windows = found["windows"]
    times = [datetime.fromisoformat(window["start"]) for window in windows]
    values = [float("nan") if one["value"] is None else float(one["value"]) for one in windows]
    axes.plot(times, values, drawstyle="steps-post", marker=".", linewidth=1.5)  # type: ignore[arg-type]
    axes.set_title(_plain(f"{found['metric_name']}: {found['aggregate']}, {found['step_s']} s"))
    axes.grid(visible=True, alpha=0.3)
    figure.autofmt_xdate()
    canvas.print_png(path)  # type: ignore[no-untyped-call]


def _plain(text: str) -> str:
    """Without what matplotlib would take for formulas."""
    return text.replace("$", r"\$")
