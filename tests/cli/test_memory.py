"""`eventspine memory` on a root opened in this process."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from eventspine.cli.main import cli


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "var"
    assert CliRunner().invoke(cli, ["init", "--root", str(root)]).exit_code == 0
    return root


def memory(root: Path, *words: str, stdin: str | None = None) -> Result:
    arguments = ["memory", *words, "--root", str(root)]
    return CliRunner().invoke(cli, arguments, input=stdin, catch_exceptions=False)


def test_entries_live_from_command_to_command(root: Path) -> None:
    made = orjson.loads(memory(root, "set", "u1", '{"a": 1}', "--ttl", "900", "--sliding").stdout)
    assert (made["value"], made["slide_s"]) == ({"a": 1}, 900)
    assert orjson.loads(memory(root, "get", "u1").stdout)["version"] == made["version"]
    assert 800 < orjson.loads(memory(root, "ttl", "u1").stdout)["ttl_s"] <= 900
    memory(root, "touch", "u1")
    assert orjson.loads(memory(root, "ttl", "u1").stdout) == {"ttl_s": None}
    assert orjson.loads(memory(root, "incr", "n", "--by", "-3").stdout)["value"] == -3
    assert orjson.loads(memory(root, "set", "in", stdin="[1]").stdout)["value"] == [1]
    listed = [orjson.loads(line)["key"] for line in memory(root, "list").stdout.splitlines()]
    assert listed == ["in", "n", "u1"]
    assert memory(root, "list", "--namespace", "other").stdout == ""
    some = memory(root, "list", "--limit", "1")
    assert len(some.stdout.splitlines()) == 1
    assert "there is more behind in" in some.stderr
    assert memory(root, "delete", "u1").exit_code == 0


def test_a_failure_is_two_lines(root: Path) -> None:
    missing = memory(root, "get", "u1")
    assert missing.exit_code != 0
    assert "u1" in missing.stderr
    memory(root, "set", "u1", "1", "--version", "0")
    assert memory(root, "set", "u1", "2", "--version", "0").exit_code != 0
    assert memory(root, "set", "u1", "2", "--version", "1").exit_code == 0
