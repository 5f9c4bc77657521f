"""Every bug of the catalogue is found, and a bug that cannot be planted any more is told."""

from __future__ import annotations

import pytest

from tests.simulation.catalogue import CATALOGUE, FIRST_NINE
from tests.simulation.plant import Bug, Change
from tests.simulation.profiles import seeds_of
from tests.simulation.schedule import run

SEEDS = 1000  # most are found by the fifth of their profile, see profiles.py


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", CATALOGUE, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    with bug.planted():
        for seed in seeds_of(bug.profile, range(SEEDS)):
            outcome = run(seed)
            if outcome.verdict:
                print(f"{bug.name}: {outcome}")
                return
    pytest.fail(f"{bug.what}: not found in {SEEDS} schedules")


@pytest.mark.parametrize("bug", CATALOGUE, ids=lambda bug: bug.name)
def test_a_bug_of_the_catalogue_fits_the_product(bug: Bug) -> None:
    before = [getattr(change.owner, change.name) for change in bug.changes]
    with bug.planted():
        planted = [getattr(change.owner, change.name) for change in bug.changes]
        assert all(one is not other for one, other in zip(before, planted, strict=True))
    assert [getattr(change.owner, change.name) for change in bug.changes] == before


def test_the_catalogue_has_the_first_nine_and_at_least_eight_more() -> None:
    assert len(FIRST_NINE) == 9
    assert len(CATALOGUE) >= 17
    assert len({bug.name for bug in CATALOGUE}) == len(CATALOGUE)


def test_a_change_that_fits_nowhere_is_an_error() -> None:
    with pytest.raises(AssertionError, match="is not once in"):
        Change(Bug, "planted", "no such text", "").function()
