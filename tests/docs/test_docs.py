"""Every page does what it says: its commands run, and their output is as shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.reader import PageWrong, free_port, reading
from tests.docs.scenario import skip_reasons, steps

ROOT = Path(__file__).parents[2]
PAGES = [page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))) if page.exists()]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", [p for p in PAGES if steps(p.read_text())], ids=named)
def test_a_page_can_be_followed_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    with reading(folder, free_port()) as reader:
        for step in steps(page.read_text()):
            try:
                reader.take(step)
            except PageWrong as wrong:
                pytest.fail(f"{named(page)} {wrong}", pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_block_that_is_not_run_names_the_test_that_covers_it(page: Path) -> None:
    tests = "\n".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    for reason in skip_reasons(page.read_text()):
        names = re.findall(r"\btest_\w+", reason)
        assert names, f"{named(page)}: skip names no test: {reason}"
        for name in names:
            assert f"def {name}(" in tests, f"{named(page)}: there is no {name}"
