"""Crash records of keys, without a loop."""

from __future__ import annotations

import asyncio

import pytest

from eventspine.contracts.errors import Overloaded, StoreUnavailable
from eventspine.runtime.limits import DirectoryLimits
from eventspine.runtime.quarantine import Quarantine, is_crash

LIMITS = DirectoryLimits(
    crashes_max=3, crash_period_s=60.0, rest_s_min=1.0, rest_s_max=5.0, sick_keys_max=3
)


def rested(quarantine: Quarantine, key: str, now: float) -> None:
    for _ in range(3):
        quarantine.crashed(key, "boom", now)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError(), True),
        (Overloaded("x"), False),
        (StoreUnavailable("x"), False),
        (asyncio.CancelledError(), False),
        (KeyboardInterrupt(), False),
        (BaseExceptionGroup("", [asyncio.CancelledError(), ValueError()]), True),
        (BaseExceptionGroup("", [asyncio.CancelledError(), Overloaded("x")]), False),
    ],
)
def test_only_a_bug_is_a_crash(error, expected) -> None:
    assert is_crash(error) is expected


def test_crashes_within_the_period_start_a_rest_and_others_do_not() -> None:
    quarantine = Quarantine(LIMITS)
    for now in (0.0, 50.0, 70.0, 120.0):
        quarantine.crashed("k", "boom", now)
        assert quarantine.rest_left_s("k", now) == 0.0
    quarantine.crashed("k", "last", 121.0)
    assert quarantine.rest_left_s("k", 121.5) == 0.5
    assert quarantine.sick["k"].cause == "last"
    assert quarantine.resting(121.5) == 1
    assert quarantine.rest_left_s("other", 121.5) == 0.0


def test_after_the_rest_one_crash_is_enough_and_rests_double_up_to_the_cap() -> None:
    quarantine = Quarantine(LIMITS)
    rested(quarantine, "k", 0.0)
    now = 0.0
    for rest_s in (2.0, 4.0, 5.0, 5.0):
        now += quarantine.rest_left_s("k", now)
        quarantine.crashed("k", "again", now)
        assert quarantine.rest_left_s("k", now) == rest_s


def test_a_passed_trial_restores_the_full_budget_but_remembers_the_rest() -> None:
    quarantine = Quarantine(LIMITS)
    rested(quarantine, "k", 0.0)
    quarantine.succeeded("k", 1.0)
    for _ in range(2):
        quarantine.crashed("k", "boom", 2.0)
        assert quarantine.rest_left_s("k", 2.0) == 0.0
    quarantine.crashed("k", "boom", 2.0)
    assert quarantine.rest_left_s("k", 2.0) == 2.0


def test_a_period_of_good_behaviour_forgets_the_key() -> None:
    quarantine = Quarantine(LIMITS)
    rested(quarantine, "k", 0.0)
    quarantine.succeeded("k", 1.0)
    quarantine.succeeded("k", 30.0)
    assert "k" in quarantine.sick
    quarantine.succeeded("k", 62.0)
    assert "k" not in quarantine.sick


def test_an_old_record_does_not_double_the_next_rest() -> None:
    quarantine = Quarantine(LIMITS)
    rested(quarantine, "k", 0.0)
    quarantine.succeeded("k", 1.0)
    rested(quarantine, "k", 100.0)
    assert quarantine.rest_left_s("k", 100.0) == 1.0


def test_a_success_or_a_late_report_during_the_rest_changes_nothing() -> None:
    quarantine = Quarantine(LIMITS)
    rested(quarantine, "k", 0.0)
    quarantine.succeeded("k", 0.5)
    quarantine.crashed("k", "late", 0.5)
    assert quarantine.rest_left_s("k", 0.5) == 0.5
    assert quarantine.sick["k"].cause == "late"


def test_the_number_of_records_is_bounded_and_the_oldest_goes_first() -> None:
    quarantine = Quarantine(LIMITS)
    for now, key in enumerate("abcad"):
        quarantine.crashed(key, "boom", float(now))
    assert list(quarantine.sick) == ["c", "a", "d"]
