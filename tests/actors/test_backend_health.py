"""The health of a backend is read by whoever refuses a caller, in a task or not."""

from __future__ import annotations

import anyio
import pytest

from eventspine.actors.host import StreamHost
from eventspine.contracts.errors import StoreUnavailable
from eventspine.contracts.limits import Limits

pytestmark = pytest.mark.anyio


async def test_a_callback_outside_of_any_task_may_ask_when_to_come_back() -> None:
    host, told = StreamHost("x", Limits(), native=False), anyio.Event()
    for _ in range(host.health.circuit.failures_max):
        host.health.failed(OSError("away"))
    answers: list[StoreUnavailable] = []

    def asked() -> None:
        answers.append(host.health.unavailable("away"))
        host.health.failed(OSError("still away"))
        told.set()

    host.later(0, asked)
    with anyio.fail_after(10):
        await told.wait()
    assert answers[0].fields["retry_after_s"] == 1
    assert host.health.shown().next_try_at is not None
