"""The circuit of a backend, beside a plain model of it."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from eventspine.actors.circuit import BACKOFF, Circuit, Moment
from eventspine.contracts.circuit import ERROR_CHARS_MAX, told

AT = "2026-01-01T00:00:00.000Z"


def circuit(seed: int = 1, failures_max: int = 3) -> Circuit:
    return Circuit(failures_max, rng=random.Random(seed))


def moment(s: float) -> Moment:
    return Moment(s, f"at {s:g}")


def test_it_opens_at_the_last_of_so_many_failures_in_a_row() -> None:
    one = circuit()
    for s in (1.0, 2.0):
        one.failed("slow", moment(s))
        assert (one.state, one.next_try_s) == ("closed", None)
    one.failed("slower", moment(3.0))
    assert (one.state, one.opened_at, one.last_error, one.failures) == ("open", "at 3", "slower", 3)
    assert one.next_try_s is not None
    assert 3.0 <= one.next_try_s <= 3.0 + BACKOFF.base_s


def test_a_success_between_failures_begins_the_count_again() -> None:
    one = circuit()
    for s in range(10):
        one.failed("slow", moment(s))
        one.failed("slow", moment(s))
        one.worked(moment(s))
    assert (one.state, one.opens, one.failures, one.last_ok_at) == ("closed", 0, 0, "at 9")


def test_a_backend_that_is_gone_opens_at_once_and_is_not_tried_by_the_prober() -> None:
    one = circuit()
    one.failed("no such file", moment(1.0), gone=True)
    assert (one.state, one.gone, one.next_try_s) == ("open", True, None)
    one.trying()
    assert one.state == "half_open"
    one.opened()
    assert (one.state, one.gone, one.failures) == ("closed", False, 1), "nothing was stored yet"


def test_a_failed_try_opens_again_and_the_outage_began_when_it_began() -> None:
    one = circuit()
    for s in (1.0, 2.0, 3.0):
        one.failed("slow", moment(s))
    one.trying()
    one.failed("still slow", moment(9.0))
    assert (one.state, one.opened_at, one.opens) == ("open", "at 3", 1)


def test_a_backend_that_opens_and_fails_again_counts_on() -> None:
    one = circuit()
    for s in range(5):
        one.failed("gone", moment(s), gone=True)
        one.trying()
        one.opened()
    assert (one.failures, one.opens, one.state) == (5, 5, "closed")


def test_what_is_no_outage_is_noted_and_closes_what_was_tried() -> None:
    one = circuit()
    one.noted("the disk is full", moment(1.0))
    assert (one.state, one.failures, one.last_error) == ("closed", 0, "the disk is full")
    one.failed("gone", moment(2.0), gone=True)
    states = list[str]()
    for deed in (lambda: None, one.trying):
        deed()
        one.noted("full", moment(3.0))
        states.append(one.state)
    assert states == ["open", "closed"]


def test_the_pause_grows_to_its_cap_and_is_never_longer() -> None:
    one, longest = circuit(seed=7, failures_max=1), 0.0
    for n in range(200):
        one.failed("slow", moment(float(n)))
        assert one.next_try_s is not None
        pause_s = one.next_try_s - n
        assert 0.0 <= pause_s <= min(BACKOFF.cap_s, 2.0**n)
        longest = max(longest, pause_s)
        one.trying()
    assert longest > BACKOFF.cap_s / 2, "full jitter reaches far"


DEEDS = st.lists(st.sampled_from(["failed", "gone", "trying", "opened", "worked", "noted"]))


@given(DEEDS, st.integers(1, 4))
def test_it_is_as_the_plain_model_says(deeds: list[str], failures_max: int) -> None:
    one, s = circuit(failures_max=failures_max), 0.0
    state, failures, gone, opens = "closed", 0, False, 0
    for deed in deeds:
        s += 1.0
        if deed in ("failed", "gone"):
            one.failed("e", moment(s), gone=deed == "gone")
            failures += 1
            if deed == "gone" or state != "closed" or failures >= failures_max:
                opens += state == "closed"
                state, gone = "open", deed == "gone"
        elif deed == "trying":
            one.trying()
            state = "half_open" if state == "open" else state
        elif deed == "opened":
            one.opened()
            if gone:
                state, gone = "closed", False
        elif deed == "worked":
            one.worked(moment(s))
            state, failures, gone = "closed", 0, False
        else:
            one.noted("e", moment(s))
            if state == "half_open":
                state, gone = "closed", False
        assert (one.state, one.failures, one.gone, one.opens) == (state, failures, gone, opens)
        assert (one.opened_at is None) == (state == "closed")
        assert (one.next_try_s is not None) == (state == "open" and not gone)


def test_an_error_is_told_short_and_without_credentials() -> None:
    assert told(OSError("cannot reach amqp://user:pass@host/x")) == (
        "OSError: cannot reach amqp://***@host/x"
    )
    assert len(told("x" * 10_000)) == ERROR_CHARS_MAX
