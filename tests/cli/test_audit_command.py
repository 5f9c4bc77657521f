"""`eventspine audit` and `eventspine routes health`."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.api.serving import Served, settings_of
from tests.cli.test_commands import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path / "var")
    assert shell("init").exit_code == 0
    return shell


def test_a_record_is_emitted_and_listed(shell: Shell) -> None:
    given = ("--metadata", '{"token": "x", "n": 1}', "--about", "notes", "--user", "ada")
    assert shell("audit", "emit", "note.create", *given).exit_code == 0
    (line,) = shell("audit", "list", "--action", "note.create", "--json").stdout.splitlines()
    payload = orjson.loads(line)["payload"]
    assert payload["surface"] == "notes"
    assert payload["metadata"] == {"token": "[redacted]", "n": 1}
    table = shell("audit", "list", "--action", "note.create").stdout
    assert "note.create" in table
    assert "ada" in table


def test_what_is_not_json_is_refused(shell: Shell) -> None:
    result = shell("audit", "emit", "note.create", "--metadata", "{")
    assert result.exit_code != 0
    assert "--metadata is not JSON" in result.stderr


def test_a_change_of_a_route_is_listed(shell: Shell) -> None:
    kind = ("--kind", "tabular_store")
    assert shell("routes", "update", *kind, "--backend", "memory", "--reason", "why").exit_code == 0
    lines = shell("audit", "list", "--action", "routing.update", "--json").stdout.splitlines()
    metadata = [orjson.loads(line)["payload"]["metadata"] for line in lines]
    assert [one["phase"] for one in metadata] == ["intent", "done"]
    assert {(one["by"], one["reason"]) for one in metadata} == {("eventspine routes", "why")}


def test_health_of_routes(shell: Shell) -> None:
    result = shell("routes", "health")
    assert result.exit_code == 0
    assert "closed" in result.stdout
    lines = shell("routes", "health", "--tenant", "t_demo", "--json").stdout.splitlines()
    assert lines
    for line in lines:
        health = orjson.loads(line)
        assert (health["state"], health["circuit"]["state"]) == ("serving", "closed")


@pytest.mark.slow
def test_health_of_a_route_that_is_stale_is_an_error(tmp_path: Path) -> None:
    with Served(tmp_path / "served", settings_of()) as server:
        (tmp_path / "served" / "taken").write_text("a file where a folder should be")
        body = {"backend_type": "filesystem", "config": {"root": "taken"}}
        with server.client() as client:
            client.put("/v1/routes/event_stream/t_broken/dev/default/lab", json=body)
        url = f"http://127.0.0.1:{server.port}"
        shell = Shell(tmp_path / "another")
        result = shell("routes", "health", "--url", url, "--tenant", "t_broken")
        assert (result.exit_code, "stale" in result.stdout) == (1, True)
        assert shell("routes", "health", "--url", url, "--tenant", "t_demo").exit_code == 0
