"""Turns alone: whose append runs in which pass of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from eventspine.api.lane.turns import ABOUT_S, Turns


class Loop:
    """Passes when told, at a time that is told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.soon: list[Callable[[], object]] = []

    def call_soon(self, function: Callable[[], object]) -> None:
        self.soon.append(function)

    def time(self) -> float:
        return self.now

    def next_pass(self) -> None:
        soon, self.soon = self.soon, []
        for function in soon:
            function()


class Stage:
    def __init__(self) -> None:
        self.loop, self.turns = Loop(), Turns(4)
        self.ran: list[str] = []

    def ask(self, tenant: str, name: str) -> None:
        if self.turns.may_run(tenant):
            self.ran.append(name)
        else:
            self.turns.later(tenant, lambda: self.ran.append(name))

    def passed(self) -> list[str]:
        ran, self.ran = self.ran, []
        self.loop.next_pass()
        return ran


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: stage.loop)
    return stage


def names(tenant: str, *numbers: int) -> list[str]:
    return [f"{tenant}{n}" for n in numbers]


def test_a_tenant_alone_waits_for_nobody(stage: Stage) -> None:
    for n in range(100):
        stage.ask("hot", f"hot{n}")
    assert len(stage.passed()) == 100
    assert stage.turns.deferred == 0


def test_beside_others_a_tenant_has_a_few_a_pass_in_order(stage: Stage) -> None:
    stage.ask("calm", "calm0")
    for n in range(10):
        stage.ask("hot", f"hot{n}")
    assert stage.passed() == ["calm0", *names("hot", 0, 1, 2, 3)]
    stage.ask("calm", "calm1")
    stage.ask("hot", "hot10")  # behind those that wait
    assert stage.passed() == [*names("hot", 4, 5, 6, 7), "calm1"]
    assert stage.passed() == names("hot", 8, 9, 10)
    assert stage.passed() == []
    assert stage.loop.soon == []
    assert stage.turns.deferred == 7


def test_a_calm_tenant_counts_for_a_second_after_its_append(stage: Stage) -> None:
    stage.ask("hot", "hot")
    stage.ask("calm", "calm0")
    stage.passed()
    stage.loop.now += ABOUT_S / 2
    for n in range(6):
        stage.ask("hot", f"hot{n}")
    assert stage.passed() == names("hot", 0, 1, 2, 3)
    stage.passed()
    stage.loop.now += ABOUT_S
    for n in range(6):
        stage.ask("hot", f"hot{n}")
    assert len(stage.passed()) == 6


def test_passes_of_one_tenant_after_another_are_others_too(stage: Stage) -> None:
    stage.ask("calm", "calm0")
    stage.passed()
    for n in range(6):
        stage.ask("hot", f"hot{n}")
    assert len(stage.passed()) == 6  # the first pass in which it is there
    for n in range(6):
        stage.ask("hot", f"hot{n}")
    assert len(stage.passed()) == 4


def test_nothing_is_scheduled_when_nobody_appends(stage: Stage) -> None:
    for n in range(1000):
        stage.ask(f"t{n}", "one")
        stage.passed()
        assert stage.loop.soon == []
    assert stage.turns.deferred == 0
