"""`eventspine routes add-system`, and what a command on routes may leave out, with and without a
server.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from eventspine.cli.main import cli
from tests.client.serving import COMMAND, ServerProcess

Run = Callable[..., tuple[int, str, str]]
OTHER = ("--kind", "object_store", "--tenant", "t9", "--project", "p1")


@pytest.fixture(params=["closed", pytest.param("served", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Runs a command on a root that nobody has open, or through its server."""
    root = tmp_path / "var"
    if request.param == "closed":
        assert CliRunner().invoke(cli, ["init", "--root", str(root)]).exit_code == 0

        def here(*arguments: str) -> tuple[int, str, str]:
            done = CliRunner().invoke(cli, [*arguments, "--root", str(root)])
            return done.exit_code, done.stdout, done.stderr

        yield here
        return
    with ServerProcess(root):

        def there(*arguments: str) -> tuple[int, str, str]:
            command = [*COMMAND, *arguments, "--root", str(root)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
            return done.returncode, done.stdout, done.stderr

        yield there


def system_rows(run: Run) -> list[str]:
    code, out, _ = run("routes", "list", "--tenant", "t_system", "--mode", "lab", "--json")
    assert code == 0
    return [orjson.loads(line)["resource_kind"] for line in out.splitlines()]


def test_what_is_missing_is_added_once(run: Run) -> None:
    system = ("--tenant", "t_system", "--env", "*", "--project", "*")
    assert run("routes", "delete", "--kind", "tabular_store", *system)[0] == 0
    assert system_rows(run) == ["event_stream"]
    code, out, _ = run("routes", "add-system")
    assert (code, out) == (0, "created tabular_store/t_system/*/*/lab -> filesystem\n")
    assert system_rows(run) == ["event_stream", "tabular_store"]
    code, out, note = run("routes", "add-system")
    assert (code, out) == (0, "")
    assert "has its routes in mode lab" in note
    code, _, error = run("routes", "add-system", "--mode", "saas")
    assert code == 1
    assert "filesystem is not for mode saas" in error


def test_a_route_is_completed_from_the_lab_settings(run: Run) -> None:
    code, out, error = run("routes", "create", *OTHER, "--backend", "memory", "--json")
    assert code == 0, error
    made = orjson.loads(out)
    assert (made["env"], made["mode"], made["tenant_id"]) == ("dev", "lab", "t9")
    assert run("routes", "get", *OTHER)[0] == 0
    assert run("routes", "update", *OTHER, "--backend", "filesystem")[0] == 0
    assert run("routes", "delete", *OTHER)[1] == "deleted object_store/t9/dev/p1/lab\n"
    code, _, error = run("routes", "create", *OTHER, "--mode", "saas", "--backend", "memory")
    assert code == 2
    assert "--env" in error, "the lab completes no other mode"
