"""A result as bars in SVG, ours in blue. Plain text: no library for six bars."""

from __future__ import annotations

from xml.sax.saxutils import escape

from bench.result import Result

_BAR_PX, _ROW_PX, _NAME_PX, _NUMBER_PX, _HEAD_PX = 400, 22, 350, 190, 34
_OURS, _THEIRS, _INK = "#2563eb", "#9ca3af", "#1f2937"


def chart(result: Result) -> str:
    """Bars of the first column."""
    column = result.columns[0]
    rows = [f'<text x="10" y="20" font-weight="bold">{escape(result.title)}</text>']
    medians = {name: result.median(name)[0] for name in result.figures}
    most = max([*medians.values(), 1e-9])
    y = _HEAD_PX
    for name in result.rows:
        rows.append(f'<text x="10" y="{y + 15}">{escape(name)}</text>')
        if name in medians:
            width = max(1.0, _BAR_PX * medians[name] / most)
            color = _OURS if name == result.rows[0] or not result.compares else _THEIRS
            words = f"{format(medians[name], column.form)} {column.heading.partition(',')[0]}"
            rows.append(
                f'<rect x="{_NAME_PX}" y="{y + 3}" width="{width:.0f}" height="16" fill="{color}"/>'
            )
        else:
            width, words = 0.0, "missing"
        rows.append(f'<text x="{_NAME_PX + width + 6:.0f}" y="{y + 15}">{escape(words)}</text>')
        y += _ROW_PX
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_NAME_PX + _BAR_PX + _NUMBER_PX}" '
        f'height="{y + 10}" font-family="sans-serif" font-size="12" fill="{_INK}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(rows) + "\n</svg>\n"
    )
