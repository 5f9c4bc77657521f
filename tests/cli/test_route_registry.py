"""`eventspine routes`: explain, history, rollback, plan, apply, export, --dry-run."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.cli.test_commands import Shell

WILD = ("--tenant", "*", "--project", "*")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path / "var")
    assert shell("init").exit_code == 0
    return shell


def made(shell: Shell) -> int:
    options = ("--backend", "memory", "--tier", "gold", "--cost-notes", "free", "--reason", "new")
    result = shell("routes", "create", *WILD, *options, "--json")
    assert result.exit_code == 0, result.stderr
    route = orjson.loads(result.stdout)
    assert (route["tier"], route["cost_notes"]) == ("gold", "free")
    return int(route["revision"])


def test_explain_names_the_row_that_wins(shell: Shell) -> None:
    made(shell)
    told = shell("routes", "explain", "--tenant", "anybody")
    assert "event_stream/*/dev/*/lab -> memory" in told.stderr
    assert "serving" in told.stderr
    found = orjson.loads(shell("routes", "explain", "--json").stdout)
    assert found["route"]["backend_type"] == "filesystem", "the exact one"
    nothing = shell("routes", "explain", "--tenant", "x", "--env", "nowhere")
    assert "No route configured for event_stream" in nothing.stderr


def test_history_and_rollback(shell: Shell) -> None:
    revision = made(shell)
    assert shell("routes", "update", *WILD, "--backend", "filesystem").exit_code == 0
    rows = shell("routes", "history", *WILD, "--json").stdout.splitlines()
    changes = [orjson.loads(row) for row in rows]
    assert [change["revision"] for change in changes] == [revision + 1, revision]
    assert changes[1]["reason"] == "new"
    assert "/backend_type" in shell("routes", "history", *WILD).stdout
    every = shell("routes", "history", "--all", "--json").stdout.splitlines()
    assert len(every) == revision + 1
    back = shell("routes", "rollback", "--to", str(revision), "--reason", "slow")
    assert back.stdout.splitlines() == [
        f"revision {revision + 2}",
        "event_stream/*/dev/*/lab serving",
    ]
    assert '"backend_type":"memory"' in shell("routes", "get", *WILD, "--json").stdout
    again = shell("routes", "rollback", "--to", str(revision))
    assert "nothing differs" in again.stderr
    late = shell("routes", "rollback", "--to", "1", "--revision", "1")
    assert (late.exit_code, "remedy: " in late.stderr) == (1, True)


def test_a_dry_run_changes_nothing(shell: Shell) -> None:
    revision = made(shell)
    tried = shell("routes", "update", *WILD, "--backend", "filesystem", "--dry-run")
    found = orjson.loads(tried.stdout)
    assert found["probe"]["ok"] is True
    assert (found["action"], found["revision"]) == ("update", revision)
    new = shell("routes", "create", "--tenant", "t9", "--backend", "memory", "--dry-run")
    assert orjson.loads(new.stdout)["action"] == "create"
    assert shell("routes", "get", "--tenant", "t9").exit_code == 1
    assert '"backend_type":"memory"' in shell("routes", "get", *WILD, "--json").stdout


@pytest.mark.parametrize("name", ["routes.json", "routes.toml"])
def test_a_file_of_routes_is_planned_and_applied(shell: Shell, tmp_path: Path, name: str) -> None:
    revision = made(shell)
    exported = orjson.loads(shell("routes", "export").stdout)
    assert exported["serial"] == revision
    if name == "routes.toml":
        row = 'resource_kind = "event_stream"\ntenant_id = "t"\nenv = "dev"\nmode = "lab"\n'
        text = f'serial = {revision}\n[[routes]]\n{row}backend_type = "memory"\n'
    else:
        exported["routes"] = exported["routes"][:1]
        text = orjson.dumps(exported).decode()
    file = tmp_path / name
    file.write_text(text)
    planned = shell("routes", "plan", str(file))
    assert "delete" in planned.stdout
    assert f"serial = {revision}" in planned.stderr
    assert shell("routes", "apply", str(file), "--serial", "1").exit_code == 1
    done = shell("routes", "apply", str(file))
    assert done.stdout.startswith(f"revision {revision + 1}\n")
    left = shell("routes", "list", "--json").stdout.splitlines()
    assert ["routing_registry_store" in line for line in left] == [False, True]
    assert shell("routes", "apply", str(file)).exit_code == 1
    assert "moved on" in shell("routes", "plan", str(file)).stderr
    kept = shell("routes", "apply", str(file), "--serial", str(revision + 1))
    assert "nothing differs" in kept.stderr
