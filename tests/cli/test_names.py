"""A name may hold anything, `..` too: it stays one part of the address that it stands in."""

from __future__ import annotations

import orjson
import pytest
from click.testing import CliRunner, Result

from eventspine.cli.main import cli

NAMES = [".", "..", "../..", "a/b", "%2E%2E", "é ?#"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = str(tmp_path_factory.mktemp("names") / "var")
    assert CliRunner().invoke(cli, ["init", "--root", root]).exit_code == 0
    return root


def run(root: str, *words: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, [*words, "--root", root], input=stdin, catch_exceptions=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_found_and_deleted_by_its_name(root: str, name: str) -> None:
    run(root, "tables", "put", "t", "other", "1")
    put = run(root, "tables", "put", "t", name, '{"n":1}', "--version", "0")
    assert put.exit_code == 0, put.stderr
    assert orjson.loads(run(root, "tables", "get", "t", name).stdout)["key"] == name
    assert run(root, "tables", "delete", "t", name).exit_code == 0
    keys = [orjson.loads(line)["key"] for line in run(root, "tables", "list", "t").stdout.split()]
    assert keys == ["other"]


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_found_by_its_name(root: str, name: str) -> None:
    put = run(root, "memory", "set", name, "1")
    assert put.exit_code == 0, put.stderr
    assert orjson.loads(run(root, "memory", "get", name).stdout)["key"] == name
    assert run(root, "memory", "delete", name).exit_code == 0


@pytest.mark.parametrize("name", NAMES)
def test_an_upload_that_is_not_there_costs_no_object(root: str, name: str) -> None:
    assert run(root, "objects", "put", "kept", "-", stdin=b"bytes").exit_code == 0
    aborted = run(root, "objects", "abort", "kept", name)
    assert aborted.exit_code == 1
    assert run(root, "objects", "get", "kept").stdout_bytes == b"bytes"


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_and_a_reservation_have_their_names(root: str, name: str) -> None:
    ingested = run(root, "metrics", "ingest", name, "1")
    assert ingested.exit_code == 0, ingested.stderr
    assert orjson.loads(run(root, "metrics", "latest", name).stdout)["value"] == 1
    assert run(root, "budget", "reserve", name, "5", "acme").exit_code == 0
    assert run(root, "budget", "release", name).exit_code == 0
