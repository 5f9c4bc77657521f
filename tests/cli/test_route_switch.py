"""`eventspine routes switch`: on a root that nobody has open, and what it prints."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.cli.test_commands import Shell

THERE = ("--backend", "filesystem", "--config", '{"root":"there"}')


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path / "var")
    assert shell("init").exit_code == 0
    lines = b"".join(b'{"event_type":"t","payload":{"n":%d}}\n' % n for n in range(50))
    assert shell("append", "chat", stdin=lines).exit_code == 0
    return shell


def switch(shell: Shell, *arguments: str) -> tuple[str, str]:
    result = shell("routes", "switch", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip(), result.stderr


def test_a_whole_switch_in_commands_of_their_own(shell: Shell, tmp_path: Path) -> None:
    said, more = switch(shell, "start", *THERE, "--reason", "more room")
    assert said == "prepared"
    assert "next: run, cancel" in more
    said, more = switch(shell, "run", "--yes")
    assert said.startswith("switched after a pause of ")
    assert "events, sha256 " in more
    assert "next: finish, reverse" in more
    row = orjson.loads(shell("routes", "get", "--json").stdout)
    assert (row["config"], row["reason"]) == ({"root": "there"}, "more room")
    assert (tmp_path / "var/there/event_stream/t_demo/dev/_/chat/events.jsonl").is_file()
    assert len(shell("list", "chat").stdout.splitlines()) == 50
    said, _ = switch(shell, "reverse")
    assert said.startswith("reversed after a pause of ")
    assert switch(shell, "finish")[0] == "finished"
    assert orjson.loads(shell("routes", "get", "--json").stdout)["config"] == {}
    assert len(shell("list", "chat").stdout.splitlines()) == 50


def test_status_names_the_next_step(shell: Shell) -> None:
    switch(shell, "start", *THERE)
    table, _ = switch(shell, "status")
    assert "prepared" in table
    found = orjson.loads(switch(shell, "status", "--all", "--json")[0])
    assert found["next_steps"] == ["run", "cancel"]
    assert switch(shell, "cancel")[0] == "cancelled"


def test_run_stops_before_the_switch(shell: Shell) -> None:
    switch(shell, "start", *THERE)
    said, more = switch(shell, "run")
    assert said == "verified"
    assert "alike" in more
    assert orjson.loads(shell("routes", "get", "--json").stdout)["config"] == {}
    late = shell("routes", "switch", "switch")
    assert (late.exit_code, late.stdout.split()[:1]) == (0, ["switched"]), "it stopped cleanly"
    assert orjson.loads(shell("routes", "get", "--json").stdout)["config"] != {}


def test_what_is_refused_is_said_with_its_remedy(shell: Shell) -> None:
    none = shell("routes", "switch", "status")
    assert (none.exit_code, "has no switch" in none.stderr) == (1, True)
    same = shell("routes", "switch", "start", "--backend", "filesystem")
    assert (same.exit_code, "leads to filesystem:. already" in same.stderr) == (1, True)
    broken = shell("routes", "switch", "start", "--backend", "memory", "--config", "{")
    assert (broken.exit_code, "--config is not JSON" in broken.stderr) == (1, True)
