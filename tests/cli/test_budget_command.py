"""`eventspine budget` on a root opened in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from eventspine.cli.main import cli


class Budget:
    def __init__(self, root: Path) -> None:
        self._root = str(root)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(cli, [words[0], "--root", self._root, *words[1:]])

    def __call__(self, *words: str) -> Any:
        command = ["budget", words[0], "--root", self._root, *words[1:]]
        result = CliRunner().invoke(cli, command, catch_exceptions=False)
        if result.exit_code:
            return result.stderr
        return [orjson.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def budget(tmp_path: Path) -> Budget:
    budget = Budget(tmp_path / "var")
    assert budget.run("init").exit_code == 0
    return budget


def test_a_budget_from_the_command_line(budget: Budget) -> None:
    (limit,) = budget("limit", "acme", "month", "100", "--soft", "90")
    assert (limit["amount"], limit["soft"]) == (100, 90)
    (held,) = budget("reserve", "1", "40", "acme/web/ann", "--timeout", "60")
    assert held["pending"] == 40
    (done,) = budget("commit", "1", "25")
    assert (done["posted"], done["pending"]) == (25, -40)
    budget("reserve", "2", "75", "acme/web")
    budget("release", "2")
    budget("record", "3", "70", "acme", "models/large")
    assert "the 5 left to acme in its month" in budget("record", "4", "6", "acme")
    budget("adjust", "5", "--reason", "billed twice", "--", "-20", "acme")
    (found,) = budget("balance", "acme", "month")
    assert (found["posted"], found["pending"], found["available"]) == (75, 0, 25)
    for words in (("limits",), ("limits", "acme")):
        (held_by,) = budget(*words)
        assert (held_by["amount"], held_by["source"]) == (100, "ledger")
    assert budget("limits", "models") == []
    entries = budget("entries", "acme")
    assert sum(entry["posted"] for entry in entries) == 75
    assert len(budget("entries", "--limit", "2")) == 2
    assert [entry["id"] for entry in budget("entries", "models")] == ["3"]
