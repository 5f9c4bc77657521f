from __future__ import annotations

from pathlib import Path

from eventspine.api.catalogue import catalogue

PAGE = Path(__file__).parents[2] / "docs" / "PROTOCOL.md"


def test_the_page_has_the_catalogue_of_errors() -> None:
    """Regenerate the rows from `catalogue()` when this fails."""
    page = PAGE.read_text(encoding="utf-8")
    shown = [line for line in page.splitlines() if line.startswith("| `") and line.count("|") == 6]
    assert shown == [
        f"| `{row.code}` | {row.status} | {row.title} | {row.remedy} | {row.outcome} |"
        for row in catalogue()
    ]
