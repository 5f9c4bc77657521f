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


def test_what_is_longer_than_a_part_comes_in_parts(root: Path, tmp_path: Path) -> None:
    data, copy = tmp_path / "film.mp4", tmp_path / "copy"
    data.write_bytes(bytes(range(256)) * 5)
    cut = run(root, "put", "film.mp4", str(data), "--part-bytes", "500", "--etag", "none-yet")
    assert cut.exit_code != 0
    assert "is at" in cut.stderr or "there is none" in cut.stderr
    (listed,) = run(root, "uploads", "--prefix", "film").stdout.splitlines()
    assert (orjson.loads(listed)["parts"], orjson.loads(listed)["size"]) == (3, 1280)
    again = data.read_bytes()[:1000] + b"another end"
    data.write_bytes(again)
    made = run(root, "put", "film.mp4", str(data), "--part-bytes", "500", "--new")
    assert made.exit_code == 0, made.stderr
    assert ["was there" in line for line in made.stderr.splitlines()] == [False, True, True, False]
    stored = orjson.loads(made.stdout)
    assert (stored["size"], stored["content_type"]) == (len(again), "video/mp4")
    assert run(root, "get", "film.mp4", str(copy)).exit_code == 0
    assert copy.read_bytes() == again
    assert run(root, "uploads").stdout == ""
    assert run(root, "put", "exact", "--part-bytes", "4", stdin=b"1234").stderr == ""


def test_an_upload_is_aborted(root: Path) -> None:
    refused = run(root, "put", "k", "--part-bytes", "1", "--etag", "x", stdin=b"abc")
    assert refused.exit_code != 0
    (listed,) = run(root, "uploads").stdout.splitlines()
    assert run(root, "abort", "k", orjson.loads(listed)["upload_id"]).exit_code == 0
    assert run(root, "uploads").stdout == ""
    assert run(root, "abort", "k", orjson.loads(listed)["upload_id"]).exit_code != 0
