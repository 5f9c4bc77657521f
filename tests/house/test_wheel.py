"""The built wheel is the product: its commands, its pages, its types."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EVENT = '{"event_type":"note","payload":{"text":"from the wheel"}}\n'

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel, and nothing else, was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*pip, *wheel], check=True, timeout=50)
    built = next(folder.glob("eventspine-*.whl"))
    site = folder / "site"
    install = ["install", "--no-deps", "--target", str(site), str(built)]
    subprocess.run([*pip, *install], check=True, timeout=50)
    return site


def run(site: Path, cwd: Path, *arguments: str, stdin: str = "") -> str:
    command = [sys.executable, str(site / "bin" / "eventspine"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_gives_the_same_commands(installed: Path, tmp_path: Path) -> None:
    run(installed, tmp_path, "init", "--root", "var")
    run(installed, tmp_path, "append", "--root", "var", "notes", stdin=EVENT)
    assert "from the wheel" in run(installed, tmp_path, "list", "--root", "var", "notes")


def test_the_wheel_holds_pages_and_types(installed: Path) -> None:
    package = installed / "eventspine"
    for name in ("py.typed", "api/static/demo/index.html", "api/static/swagger-ui/start.js"):
        assert (package / name).is_file(), name
    assert not (installed / "tests").exists()


def test_the_version_stands_once_in_the_code_and_once_in_the_metadata(installed: Path) -> None:
    from eventspine.contracts.version import VERSION

    assert list(installed.glob(f"eventspine-{VERSION}.dist-info"))
