"""Commands on a root opened in this process."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from eventspine.bootstrap import KINDS
from eventspine.cli.main import cli


class Shell:
    """Runs commands with `--root` of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        words = [*arguments, "--root", str(self.root)]
        return CliRunner().invoke(cli, words, input=stdin, catch_exceptions=False)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path / "var")
    assert shell("init").exit_code == 0
    return shell


def lines(count: int, start: int = 0, **more: str) -> str:
    return "".join(
        orjson.dumps({"event_type": "n", "payload": {"n": n}, **more}).decode() + "\n"
        for n in range(start, start + count)
    )


def numbers(result: Result) -> list[int]:
    return [orjson.loads(line)["payload"]["n"] for line in result.stdout.splitlines()]


def test_init_writes_what_a_root_needs_and_overwrites_nothing(shell: Shell) -> None:
    settings = shell.root / "settings.toml"
    before = settings.read_text()
    again = shell("init")
    assert again.exit_code == 1
    assert "set up already" in again.stderr
    assert shell("init", "--if-missing").exit_code == 0
    assert settings.read_text() == before
    routes = [orjson.loads(line) for line in shell("routes", "list", "--json").stdout.splitlines()]
    lab = [route for route in routes if route["tenant_id"] == "t_demo"]
    assert [route["resource_kind"] for route in lab] == sorted(kind.value for kind in KINDS)
    for route in lab:
        assert (route["env"], route["mode"]) == ("dev", "lab")
    system = [route for route in routes if route["tenant_id"] == "t_system"]
    assert [(one["resource_kind"], one["env"], one["mode"]) for one in system] == [
        ("event_stream", "*", "lab"),
        ("tabular_store", "*", "lab"),
        ("routing_registry_store", "system", "system"),
    ]
    assert {route["backend_type"] for route in routes} == {"filesystem"}


def test_init_print_writes_nothing(tmp_path: Path) -> None:
    result = Shell(tmp_path / "x")("init", "--print")
    assert "[limits]" in result.stdout
    assert not (tmp_path / "x").exists()


def test_appended_events_are_listed(shell: Shell) -> None:
    appended = shell("append", "s", stdin=lines(250))
    assert appended.exit_code == 0
    assert appended.stderr == "250 events in s\n"
    assert numbers(shell("list", "s", "--all")) == list(range(250))
    assert numbers(shell("list", "s", "--limit", "3")) == [0, 1, 2]
    page = orjson.loads(shell("list", "s", "--limit", "3", "--json").stdout)
    assert numbers(shell("list", "s", "--after", page["next"], "--limit", "2")) == [3, 4]
    assert numbers(shell("list", "s", "--before", page["next"])) == [0, 1]
    assert numbers(shell("tail", "s", "-n", "2")) == [248, 249]
    assert numbers(shell("tail", "s", "-n", "0")) == []


def test_a_filter_lists_what_matches_page_after_page(shell: Shell) -> None:
    shell("append", "s", stdin=lines(250) + lines(1, 250).replace('"n"', '"late"', 1))
    assert numbers(shell("list", "s", "--type", "late")) == [250]
    assert numbers(shell("list", "s", "--type", "n", "--limit", "3")) == [0, 1, 2]
    assert numbers(shell("list", "s", "--type", "n", "--all")) == list(range(250))
    found = orjson.loads(shell("list", "s", "--type", "n", "--limit", "2", "--json").stdout)
    assert [event["payload"]["n"] for event in found["events"]] == [0, 1]
    assert found["read"] == 2
    assert numbers(shell("list", "s", "--since", "2999-01-01T00:00:00Z")) == []
    assert numbers(shell("list", "s", "--metadata", "app_id=nobody")) == []
    for options in (("--before", "x", "--type", "n"), ("--metadata", "app_id")):
        assert shell("list", "s", *options).exit_code == 2


def test_a_file_without_a_last_newline_is_read_whole(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "e.ndjson"
    file.write_text("\n" + lines(3).rstrip("\n"))
    assert shell("append", "s", str(file), "--batch", "2").exit_code == 0
    assert numbers(shell("list", "s")) == [0, 1, 2]


def test_a_bad_line_stops_with_its_number_and_what_stood_before_is_in(shell: Shell) -> None:
    result = shell("append", "s", stdin=lines(3) + '{"event_type":"n"}\n' + lines(1, 9))
    assert result.exit_code == 1
    assert "error: line 4: " in result.stderr
    assert "3 events are in" in result.stderr
    assert "remedy: " in result.stderr
    assert numbers(shell("list", "s")) == [0, 1, 2]


@pytest.mark.parametrize("options", [("--key", "import-1"), ()])
def test_running_again_appends_nothing_twice(shell: Shell, options: tuple[str, ...]) -> None:
    body = lines(5) if options else "".join(lines(1, n, event_id=f"e{n}") for n in range(5))
    first, *rest = body.splitlines(keepends=True)
    shell("append", "s", *options, stdin=first)  # as if interrupted after one line
    again = shell("append", "s", *options, stdin="".join([first, *rest]))
    assert "(1 were there already)" in again.stderr
    assert numbers(shell("list", "s")) == [0, 1, 2, 3, 4]


def test_big_numbers_and_key_order_survive_the_command(shell: Shell) -> None:
    payload = '{"z":1,"a":123456789012345678901234567890,"f":1.10}'
    shell("append", "s", stdin=f'{{"event_type":"n","payload":{payload}}}\n')
    assert payload in shell("list", "s").stdout


def test_context_options_are_the_scope(shell: Shell) -> None:
    shell("append", "s", "--surface", "wall", "--user", "ada", stdin=lines(1))
    assert shell("list", "s").stdout == ""
    (event,) = map(orjson.loads, shell("list", "s", "--surface", "wall").stdout.splitlines())
    assert event["metadata"]["user_id"] == "ada"


def test_routes_have_a_life(shell: Shell) -> None:
    scope = ("--tenant", "t_two", "--project", "p")
    made = shell("routes", "create", *scope, "--backend", "memory", "--json")
    assert made.exit_code == 0
    revision = str(orjson.loads(made.stdout)["revision"])
    twice = shell("routes", "create", *scope, "--backend", "memory")
    assert twice.exit_code == 1
    assert "remedy: " in twice.stderr
    update = ("routes", "update", *scope, "--backend", "filesystem")
    assert shell(*update, "--config", '{"root":"two"}', "--revision", revision).exit_code == 0
    assert shell(*update, "--revision", revision).exit_code == 1
    assert '{"root":"two"}' in shell("routes", "get", *scope).stdout
    unknown = shell("routes", "update", *scope, "--backend", "stone-tablet")
    assert "Unsupported backend_type=stone-tablet" in unknown.stderr
    assert shell("routes", "delete", *scope).stdout.startswith("deleted event_stream/t_two")
    assert "t_two" not in shell("routes", "list").stdout


def test_an_error_says_what_to_do(shell: Shell) -> None:
    result = shell("list", "s", "--after", "0000000000000001_0000000000000099")
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("remedy: ")


def test_a_root_that_is_none_is_told(tmp_path: Path) -> None:
    result = Shell(tmp_path / "nowhere")("list", "s")
    assert result.exit_code == 1
    assert "eventspine init" in result.stderr


def test_doctor_finds_a_clean_root_clean_and_damage_damaging(shell: Shell) -> None:
    shell("append", "s", stdin=lines(20))
    assert shell("doctor").exit_code == 0
    findings = list(map(orjson.loads, shell("doctor", "--json").stdout.splitlines()))
    assert {finding["verdict"] for finding in findings} == {"ok"}
    (events,) = shell.root.rglob("s/events.jsonl")
    events.write_bytes(events.read_bytes().replace(b'{"n":7}', b'{"n":8}'))
    damaged = shell("doctor")
    assert damaged.exit_code == 2
    assert "damaged" in damaged.stdout
    assert "needs a person" in damaged.stderr


@pytest.mark.parametrize(
    "command",
    [(), *[(name,) for name in cli.commands], ("routes", "create"), ("routes", "update")],
)
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5
