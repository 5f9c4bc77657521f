from __future__ import annotations

import pytest

from eventspine.client.errors import BadAnswer, ServerUnreachable
from eventspine.client.retry_policy import RetryPolicy
from eventspine.contracts.errors import (
    Deadlock,
    Draining,
    EventConflict,
    EventspineError,
    OutcomeUnknown,
    Overloaded,
    StoreUnavailable,
)

POLICY = RetryPolicy(patience_s=10, first_s=0.1, longest_s=1.0, jitter=lambda: 1.0)


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("x"),
        StoreUnavailable("x"),
        Overloaded("x"),
        Draining("x"),
        ServerUnreachable("x"),
        BadAnswer("x", status=502),
    ],
)
def test_what_may_be_repeated_is(error: EventspineError) -> None:
    assert POLICY.wait_s(1, 0.0, error) == pytest.approx(0.1)


@pytest.mark.parametrize("error", [EventConflict("x"), Deadlock("x"), BadAnswer("x", status=200)])
def test_a_refusal_is_final(error: EventspineError) -> None:
    assert POLICY.wait_s(1, 0.0, error) is None


def test_waits_grow_up_to_the_longest_and_end_with_patience() -> None:
    error = ServerUnreachable("x")
    waits = [POLICY.wait_s(attempt, 0.0, error) for attempt in range(1, 7)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert POLICY.wait_s(7, 9.7, error) == pytest.approx(0.3)
    assert POLICY.wait_s(8, 10.0, error) is None
    assert POLICY.wait_s(5_000, 0.0, error) == pytest.approx(1.0)


def test_retry_after_is_never_undercut() -> None:
    assert (POLICY.wait_s(1, 0.0, Overloaded("x", retry_after_s=5)) or 0.0) >= 5.0


def test_no_patience_means_one_try() -> None:
    assert RetryPolicy(patience_s=0).wait_s(1, 0.0, ServerUnreachable("x")) is None
