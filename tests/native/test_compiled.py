"""The module is there where it can be, and is refused where it would do harm."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import textwrap
from pathlib import Path
from typing import Any

import pytest

from eventspine import native
from tests.native.standing import PLACE, PLAIN, STAMP, Standing


def test_it_is_compiled_where_there_is_a_compiler() -> None:
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if shutil.which("cc") is None or not header.exists():
        pytest.skip("no cc, or no Python.h")
    assert native.core is not None, "build it: make check, or pip install --editable ."


def test_another_interpreter_is_refused(core: Any) -> None:
    """Its types would be others, and what the module knows of types it knows once."""
    if sys.version_info >= (3, 13):
        pytest.skip("interpreters are made another way since 3.13")
    interpreters: Any = __import__("_xxsubinterpreters")
    load = """
        from importlib.util import module_from_spec, spec_from_file_location
        spec = spec_from_file_location("eventspine.native._core", FILE)
        try:
            spec.loader.exec_module(module_from_spec(spec))
        except ImportError:
            pass
        else:
            raise AssertionError("imported")
        """
    other = interpreters.create()
    try:
        interpreters.run_string(other, f"FILE = {core.__file__!r}\n" + textwrap.dedent(load))
    finally:
        interpreters.destroy(other)


@pytest.mark.parametrize("name", ["ShortWay", "Lane"])
def test_nothing_is_made_half(core: Any, name: str) -> None:
    made = getattr(core, name)
    with pytest.raises(TypeError):
        made()
    with pytest.raises(TypeError):
        made.__new__(made)
    with pytest.raises(TypeError):
        type("Sub", (made,), {})


def test_a_type_without_the_slots_is_refused(standing: Standing, core: Any) -> None:
    from eventspine.adapters.filesystem.streams.backlog import Unflushed
    from eventspine.contracts.stores import StreamCommit

    for types in ((int, Unflushed), (StreamCommit, dict)):
        with pytest.raises((TypeError, AttributeError)):
            core.shapes(*types)
    stolen = type("Stolen", (), {"key": StreamCommit.__dict__["key"]})
    with pytest.raises(TypeError):
        core.shapes(stolen, Unflushed)
    assert len(core.encode_entries([standing.submit()])) > 20


@pytest.mark.parametrize(
    "args",
    [
        (),
        (PLACE, PLAIN),
        ((), PLAIN, STAMP),
        ((PLACE.key,), PLAIN, STAMP),
        ((PLACE.key, "text"), PLAIN, STAMP),
        ((b"key", PLACE.address), PLAIN, STAMP),
        (None, PLAIN, STAMP),
        (PLACE, PLAIN, None),
        (PLACE, PLAIN, ("lab", "text", {})),
        (PLACE, PLAIN, ("lab", b"{}")),
    ],
)
def test_other_arguments_are_refused(standing: Standing, args: tuple[Any, ...]) -> None:
    before = standing.state()
    with pytest.raises(TypeError):
        standing.short.submit(*args)
    assert standing.state() == before


@pytest.mark.parametrize("what", [None, 1, object(), [], "text"])
def test_what_is_no_commit_has_no_answer(standing: Standing, what: object) -> None:
    with pytest.raises(TypeError):
        standing.short.answer(what)
    commit = standing.submit()
    commit.actor = what
    with pytest.raises(TypeError):
        standing.short.answer(commit)


def test_a_deleted_slot_is_no_crash(standing: Standing) -> None:
    for name in ("pending", "sequence", "epoch", "mode", "closed", "key", "audience", "ids"):
        standing.wake("other" + name)
        place = PLACE._replace(key="other" + name)
        actor = standing.directory.live("other" + name)
        delattr(actor, name)
        commit = standing.submit(place=place)
        if name in ("sequence", "epoch", "mode", "closed"):
            assert commit is None
        standing.take()
    for name in ("last", "epoch", "lines", "actor"):
        commit = standing.submit()
        delattr(commit, name)
        with pytest.raises((TypeError, AttributeError)):
            standing.short.answer(commit)
        standing.take()
