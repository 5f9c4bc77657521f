"""The page of evidence keeps what other runs wrote, and says when a run did not end well."""

from __future__ import annotations

from tests.torture.evidence import KINDS, updated
from tests.torture.report import Report


def page(*reports: Report) -> str:
    text = ""
    for report in reports:
        text = updated(text, report.as_dict(), "make torture N=3")
    return text


def ended(name: str, seed: int, *, finished: bool = True, violations: int = 0) -> Report:
    faults = {"SIGKILL under load": 3}
    return Report(name, seed, faults=faults, finished=finished, violations=violations)


def test_a_run_replaces_its_own_section_and_no_other() -> None:
    text = page(ended("power-xfs", 1), ended("sigkill", 2), ended("power-xfs", 3))
    assert text.count("## ") == 2
    assert "SEED=1`" not in text
    assert text.index("SEED=2`") < text.index("SEED=3`"), "in the order of the kinds"
    assert text.startswith("# Evidence\n")
    assert "| faults | 3 SIGKILL under load |" in text


def test_a_run_that_found_something_or_did_not_end_does_not_look_well() -> None:
    assert "every promise kept" in page(ended("sigkill", 1))
    for bad in (ended("sigkill", 1, finished=False), ended("sigkill", 1, violations=1)):
        assert "every promise kept" not in page(bad)


def test_writing_the_same_twice_changes_nothing() -> None:
    report = ended("eio", 4).as_dict()
    once = updated("", report, "make torture N=3")
    assert updated(once, report, "make torture N=3") == once


def test_the_command_of_a_section_repeats_its_kind() -> None:
    assert "`make torture N=3 ARGS=\"-k 'power_is_cut and xfs'\"`" in page(ended("power-xfs", 1))
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
