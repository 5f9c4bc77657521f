"""The arithmetic of restarts, without a loop."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.runtime.restart import Backoff, Budget, affected, leaves, sole, verdict


class Fenced(Exception):
    pass


class Outage(Exception):
    pass


@pytest.mark.parametrize(
    ("restart", "error", "expected"),
    [
        ("permanent", None, "restart"),
        ("transient", None, "leave"),
        ("temporary", None, "leave"),
        ("permanent", ValueError(), "restart"),
        ("transient", ValueError(), "restart"),
        ("temporary", ValueError(), "leave"),
        ("temporary", Outage(), "leave"),
        ("permanent", Outage(), "wait_out"),
        ("transient", Outage(), "wait_out"),
        ("temporary", Fenced(), "escalate"),
        ("permanent", ExceptionGroup("", [Outage(), ExceptionGroup("", [Fenced()])]), "escalate"),
        ("permanent", ExceptionGroup("", [Outage(), ValueError()]), "restart"),
        ("permanent", ExceptionGroup("", [Outage(), Outage()]), "wait_out"),
    ],
)
def test_fatal_beats_crash_beats_outage(restart, error, expected) -> None:
    assert verdict(restart, error, fatal=(Fenced,), outage=(Outage,)) == expected


def test_strategies_take_the_right_siblings_along() -> None:
    assert list(affected("one_for_one", 1, 4)) == [1]
    assert list(affected("rest_for_one", 1, 4)) == [1, 2, 3]
    assert list(affected("one_for_all", 1, 4)) == [0, 1, 2, 3]


def test_a_group_of_one_reads_as_what_happened() -> None:
    error = ValueError("x")
    assert sole(ExceptionGroup("a", [ExceptionGroup("b", [error])])) is error
    both = ExceptionGroup("a", [error, KeyError()])
    assert sole(both) is both
    assert len(list(leaves(both))) == 2


def test_the_budget_is_a_window_not_a_lifetime() -> None:
    budget = Budget(2, 5.0)
    assert [budget.spend(t) for t in (0.0, 1.0)] == [True, True]
    assert budget.left(1.0) == 0
    assert budget.spend(5.5)  # the one at 0.0 is out of the window
    assert not budget.spend(5.6)
    assert budget.left(100.0) == 2


@given(st.lists(st.floats(0, 100), max_size=60), st.integers(0, 5), st.floats(0.1, 20))
def test_the_budget_refuses_exactly_when_a_window_holds_more_than_the_intensity(
    times, intensity, period_s
) -> None:
    times.sort()
    budget = Budget(intensity, period_s)
    for place, now in enumerate(times):
        in_window = sum(now - period_s <= earlier for earlier in times[: place + 1])
        assert budget.spend(now) == (in_window <= intensity)


@given(st.floats(0.001, 10), st.floats(1, 1000), st.integers(1, 2000), st.integers(0, 2**32))
def test_a_pause_lies_between_zero_and_a_bound_that_doubles_up_to_the_cap(
    base_s, times, failures, seed
) -> None:
    backoff = Backoff(base_s, base_s * times)
    expected = (
        base_s * times if failures > 64 else min(base_s * times, base_s * 2 ** (failures - 1))
    )
    assert backoff.bound_s(failures) == pytest.approx(expected)
    assert 0 <= backoff.pause_s(failures, random.Random(seed)) <= backoff.bound_s(failures)


@pytest.mark.parametrize("failures", [1, 4, 30])
def test_full_jitter_is_uniform_over_the_whole_bound(failures) -> None:
    backoff, rng = Backoff(0.5, 8.0), random.Random(7)
    bound_s = backoff.bound_s(failures)
    tenths = [0] * 10
    for _ in range(5000):
        tenths[min(9, int(backoff.pause_s(failures, rng) / bound_s * 10))] += 1
    chi_square = sum((count - 500) ** 2 / 500 for count in tenths)
    assert chi_square < 27.9, tenths  # 9 degrees of freedom, 99.9 %


def test_two_supervisors_do_not_come_back_together() -> None:
    backoff = Backoff(1.0, 60.0)
    pauses = {backoff.pause_s(5, random.Random(seed)) for seed in range(100)}
    assert len(pauses) == 100


@pytest.mark.parametrize(
    "make",
    [lambda: Backoff(0, 1), lambda: Backoff(2, 1), lambda: Budget(-1, 1), lambda: Budget(1, 0)],
)
def test_impossible_bounds_are_refused_at_once(make) -> None:
    with pytest.raises(ValueError, match="needs"):
        make()
