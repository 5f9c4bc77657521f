"""`eventspine objects` on a root opened in this process."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from eventspine.cli.main import cli


def run(root: Path, *words: str, stdin: bytes | None = None) -> Result:
    arguments = ["objects", *words, "--root", str(root)]
    return CliRunner().invoke(cli, arguments, input=stdin, catch_exceptions=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = CliRunner().invoke(cli, ["init", "--root", str(tmp_path / "var")])
    assert made.exit_code == 0
    return tmp_path / "var"


def test_put_get_list_and_delete(root: Path, tmp_path: Path) -> None:
    data, copy = tmp_path / "in.png", tmp_path / "out.png"
    data.write_bytes(bytes(range(256)))
    made = orjson.loads(run(root, "put", "pictures/1.png", str(data), "--new").stdout)
    assert (made["size"], made["content_type"]) == (256, "image/png")
    assert run(root, "put", "pictures/1.png", str(data), "--new").exit_code != 0
    assert run(root, "put", "note", stdin=b"from stdin").exit_code == 0
    assert run(root, "get", "pictures/1.png", str(copy)).exit_code == 0
    assert copy.read_bytes() == data.read_bytes()
    assert run(root, "get", "note").stdout_bytes == b"from stdin"
    listed = run(root, "list", "--prefix", "pic").stdout.splitlines()
    assert [orjson.loads(line) for line in listed] == [made]
    assert "behind" in run(root, "list", "--limit", "1").stderr
    assert run(root, "delete", "note", "--root", str(root)).exit_code == 0
    missing = run(root, "get", "note")
    assert missing.exit_code != 0
    assert "no object" in missing.stderr
