"""`eventspine routes import-env`, `choices`, `choose`, `give-back`, and `--declared`."""

from __future__ import annotations

import logging
from pathlib import Path

import orjson
import pytest

from tests.cli.test_commands import Shell

CANARY = "canary-5up3r-s3cret-value"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("STREAM_TIMELINE_BACKEND", "AUDIT_STRICT"):
        monkeypatch.delenv(name, raising=False)
    shell = Shell(tmp_path / "var")
    assert shell("init").exit_code == 0
    return shell


def test_without_apply_it_only_says(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_TIMELINE_BACKEND", "memory")
    monkeypatch.setenv("BUDGET_BACKEND", CANARY)
    before = shell("routes", "export").stdout
    told = shell("routes", "import-env")
    assert told.exit_code == 0, told.stderr
    assert CANARY not in told.stdout + told.stderr
    assert "event_stream/*/*/*/lab" in told.stderr
    assert "BUDGET_BACKEND" in told.stderr
    assert "not understood: say what it chooses" in told.stderr
    assert "nothing was changed" in told.stderr
    assert shell("routes", "export").stdout == before
    file = orjson.loads(told.stdout)
    assert file["serial"] == orjson.loads(before)["serial"]
    assert len(file["routes"]) == len(orjson.loads(before)["routes"]) + 1


def test_what_it_prints_can_be_applied_and_it_can_do_it_itself(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_TIMELINE_BACKEND", "memory")
    file = tmp_path / "routes.json"
    file.write_text(shell("routes", "import-env", "--tenant", "acme").stdout)
    assert shell("routes", "apply", str(file)).exit_code == 0
    scope = ("--tenant", "acme", "--env", "*", "--project", "*")
    assert orjson.loads(shell("routes", "get", *scope, "--json").stdout)["backend_type"] == "memory"
    done = shell("routes", "import-env", "--env", "dev", "--apply")
    assert done.exit_code == 0, done.stderr
    history = shell("routes", "history", "--all", "--limit", "1", "--json").stdout
    change = orjson.loads(history)
    assert change["by"] == "eventspine routes import-env"
    assert change["rows"][0]["after"]["reason"] == "imported from STREAM_TIMELINE_BACKEND"
    again = shell("routes", "import-env", "--env", "dev", "--apply")
    assert f"revision {change['revision']}" in again.stderr, "nothing differs any more"


def test_secrets_become_references(shell: Shell, tmp_path: Path) -> None:
    env = tmp_path / "legacy.env"
    env.write_text(f"BLOBS=filesystem\nUPLOAD_KEY={CANARY}\nPATH=/bin\n")
    means = ("--means", "BLOBS=object_store", "--means", "UPLOAD_KEY=object_store.signing_key")
    told = shell("routes", "import-env", "--env-file", str(env), *means)
    assert told.exit_code == 0, told.stderr
    assert '"signing_key": "secret://upload_key"' in told.stdout
    assert '[secrets.upload_key] variable = "UPLOAD_KEY"' in told.stderr
    assert "PATH" in told.stderr, "of a file every variable counts"
    undeclared = shell("routes", "import-env", "--env-file", str(env), *means, "--apply")
    assert undeclared.exit_code == 1
    assert "secret://upload_key: it is not declared" in undeclared.stderr
    key = tmp_path / "key"
    key.write_text(CANARY)
    with (tmp_path / "var" / "settings.toml").open("a") as settings:
        settings.write(f'\n[secrets.upload_key]\nfile = "{key}"\n')
    done = shell("routes", "import-env", "--env-file", str(env), *means, "--apply")
    assert done.exit_code == 0, done.stderr
    every = [told, undeclared, done]
    assert not any(CANARY in one.stdout + one.stderr for one in every)


def test_there_may_be_nothing_to_import(shell: Shell, tmp_path: Path) -> None:
    empty = tmp_path / "empty.env"
    empty.write_text("")
    told = shell("routes", "import-env", "--env-file", str(empty))
    assert "there is no variable that chose a backend" in told.stderr
    assert told.stdout == shell("routes", "import-env", "--env-file", str(empty)).stdout


def test_wrong_meanings_and_lines_are_told(shell: Shell, tmp_path: Path) -> None:
    wrong = shell("routes", "import-env", "--means", "A=floppy")
    assert wrong.exit_code == 1
    assert "a meaning is NAME=kind" in wrong.stderr
    env = tmp_path / "legacy.env"
    env.write_text(f"A=1\n{CANARY}\n")
    bad = shell("routes", "import-env", "--env-file", str(env))
    assert "line 2 is not NAME=value" in bad.stderr
    assert CANARY not in bad.stderr


def test_a_mode_is_needed_where_there_is_no_lab(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "var" / "settings.toml").write_text("")
    assert "import-env needs --mode" in shell("routes", "import-env").stderr


def test_a_declared_backend_is_named_on_the_command_line(shell: Shell, tmp_path: Path) -> None:
    with (tmp_path / "var" / "settings.toml").open("a") as settings:
        settings.write('\n[backends.fast]\nbackend_type = "memory"\nkinds = ["event_stream"]\n')
        settings.write('tenants = ["*"]\nmodes = ["lab"]\n')
    made = shell("routes", "create", "--tenant", "acme", "--declared", "fast")
    assert made.exit_code == 0, made.stderr
    assert "fast" in made.stdout
    told = shell("routes", "explain", "--tenant", "acme")
    assert "event_stream/acme/dev/default/lab -> fast" in told.stderr
    file = tmp_path / "routes.json"
    file.write_text(shell("routes", "export").stdout)
    assert shell("routes", "plan", str(file), "--json").exit_code == 0
    neither = shell("routes", "create", "--tenant", "x")
    assert "a route needs --backend or --declared" in neither.stderr


def test_a_tenant_chooses_on_the_command_line(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "var" / "settings.toml"
    settings = path.read_text() + '\n[backends.fast]\nbackend_type = "memory"\n'
    settings += 'kinds = ["event_stream"]\ntenants = ["acme"]\nmodes = ["lab"]\n'
    path.write_text(settings)
    acme = ("--tenant", "acme")
    told = shell("routes", "choices", *acme)
    assert "fast" in told.stdout
    assert "nothing can be chosen" in told.stderr
    refused = shell("routes", "choose", "fast", *acme)
    assert refused.exit_code == 1
    assert "routing.tenant_editable is off" in refused.stderr
    path.write_text(settings.replace("# tenant_editable = false", "tenant_editable = true"))
    chosen = shell("routes", "choose", "fast", *acme, "--reason", "quick")
    assert chosen.stdout.startswith("event_stream -> fast: serving, revision ")
    revision = chosen.stdout.split()[-1]
    listed = orjson.loads(shell("routes", "choices", *acme, "--json").stdout)
    assert [one["backend"] for one in listed["routes"]] == ["fast"]
    assert shell("routes", "give-back", *acme, "--revision", "1").exit_code == 1
    assert shell("routes", "give-back", *acme, "--revision", revision).exit_code == 0
    assert "no route" in shell("routes", "give-back", *acme).stderr


def test_a_server_says_that_an_old_variable_chooses_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from eventspine.cli.serve import _warn_of_variables

    monkeypatch.setenv("STREAM_TIMELINE_BACKEND", CANARY)
    with caplog.at_level(logging.WARNING):
        _warn_of_variables()
    (record,) = caplog.records
    assert "STREAM_TIMELINE_BACKEND chooses nothing" in record.message
    assert CANARY not in record.message
