"""The figures as part of a page: Markdown tables between two marks, and a chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench.runner import Result

BEGIN, END = "<!-- figures, written by python -m bench -->", "<!-- end of figures -->"
_BAR_PX, _ROW_PX, _NAME_PX = 420, 22, 300
_OURS, _THEIRS, _INK = "#2563eb", "#9ca3af", "#1f2937"


def markdown(results: Sequence[Result], machine: dict[str, Any], rounds: int) -> str:
    load = ", ".join(f"{value:.1f}" for value in machine["load_average"])
    lines = [
        (
            f"Run of {machine['when']}: {machine['cores']} cores, Linux {machine['kernel']}, "
            f"Python {machine['python']}, load average at the end {load}; "
            f"{rounds} interleaved rounds, medians."
        ),
    ]
    for result in results:
        lines += ["", f"### {result.title[0].upper()}{result.title[1:]}", ""]
        lines.append(
            f"| | {result.unit} | ours / this | p50 ms | p99 ms | client CPU | server µs each |"
        )
        lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for name in result.figures:
            m = result.median(name)
            lines.append(
                f"| {name} | {m.per_s:,.0f} | {result.ratio(name):.2f} | {m.p50_ms:.2f} "
                f"| {m.p99_ms:.2f} | {m.client_cpu:.0%} | {m.server_us:.1f} |"
            )
        lines += ["", f"Load average before: {result.load_average:.1f}."]
    return "\n".join(lines)


def replace_figures(page: Path, text: str) -> None:
    """Put `text` between the marks of the page; without a page, write one."""
    old = page.read_text() if page.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def chart(results: Sequence[Result]) -> str:
    """Bars, each result on its own scale, ours in blue. Plain SVG: no library for six bars."""
    rows, y = [], 10
    for result in results:
        y += 16
        rows.append(f'<text x="10" y="{y}" font-weight="bold">{escape(result.title)}</text>')
        medians = {name: result.median(name).per_s for name in result.figures}
        y += 8
        for n, (name, value) in enumerate(medians.items()):
            width = max(1.0, _BAR_PX * value / max(medians.values()))
            color = _THEIRS if n else _OURS
            rows.append(f'<text x="10" y="{y + 15}">{escape(name)}</text>')
            rows.append(
                f'<rect x="{_NAME_PX}" y="{y + 3}" width="{width:.0f}" height="16" fill="{color}"/>'
            )
            rows.append(
                f'<text x="{_NAME_PX + width + 6:.0f}" y="{y + 15}">{value:,.0f}'
                f" {escape(result.unit.split(',')[0])}</text>"
            )
            y += _ROW_PX
        y += 6
    width = _NAME_PX + _BAR_PX + 170
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 10}" '
        f'font-family="sans-serif" font-size="12" fill="{_INK}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(rows) + "\n</svg>\n"
    )
