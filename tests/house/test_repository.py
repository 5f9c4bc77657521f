"""The repository speaks of the product alone, and installs from wherever its user does."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Written in pieces, so that this file does not name what it looks for.
INDEX_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("repo1", "maven", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
    )
]
OTHER_PLACES = [
    "/" + "/".join(parts)
    for parts in (("work", ""), ("opt", "wheels"), ("tmp", "venvs"), ("root", ""))
]
OTHER_TALK = ["work" + "place", "poly" + "glot", "PIP_" + "FIND_LINKS"]
# Notes that were never part of the repository.
OTHER_NOTES = r"\breference/(?:actors|backends|domains|performance|reliability|streams)\.md"
FORBIDDEN = re.compile(
    "|".join([OTHER_NOTES, *map(re.escape, INDEX_HOSTS + OTHER_PLACES + OTHER_TALK)])
)


def of_the_repository() -> list[Path]:
    """What git tracks, or would at the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    names = sorted(set(listed.stdout.decode().split("\0")) - {""})
    return [path for name in names if (path := ROOT / name).is_file()]


def test_no_file_names_a_package_index_or_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {hit.group()}"
        for path in of_the_repository()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if (hit := FORBIDDEN.search(line))
    ]
    assert found == []


def test_every_pinned_package_has_a_hash() -> None:
    for lock in sorted(ROOT.glob("requirements/*.txt")):
        pins = re.split(r"\n(?=[\w.-]+==)", lock.read_text())[1:]
        assert pins, lock
        assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_what_make_serve_installs_has_every_kind_of_store() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = {re.split(r"[\[<>=]", need)[0] for needs in extras.values() for need in needs}
    lock = (ROOT / "requirements/runtime.txt").read_text()
    pinned = re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)
    assert asked - {"eventspine"} <= set(pinned)


def test_the_pinned_groups_fit_into_one_environment() -> None:
    versions: dict[str, set[str]] = {}
    for lock in ROOT.glob("requirements/*.txt"):
        for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE):
            versions.setdefault(name, set()).add(version)
    assert {name: seen for name, seen in versions.items() if len(seen) > 1} == {}


def test_a_script_stops_at_its_first_error() -> None:
    runs_all_the_same = {"test.sh"}  # collects what failed
    for script in ROOT.glob("scripts/*.sh"):
        if script.name not in runs_all_the_same:
            assert "\nset -eu\n" in script.read_text(), script
