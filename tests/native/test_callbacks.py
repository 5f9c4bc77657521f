"""Python code that runs in the middle of a compiled step may do what it wants: nothing breaks."""

from __future__ import annotations

import asyncio
import gc
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from eventspine import native
from eventspine.actors import compiled
from eventspine.actors.stream import Commit
from eventspine.actors.told import Told
from tests.native.standing import KEY, PLACE, PLAIN, STAMP, Standing


class Calling:
    """A ticket that calls somebody when it is settled."""

    def __init__(self, call: Any, *, asked: Any = lambda: False) -> None:
        self.call, self.done = call, asked

    def set_result(self, value: None) -> None:
        self.call()


def calling(call: Any, **more: Any) -> Any:
    return Calling(call, **more)


def ticket_of(standing: Standing, ticket: Any) -> Commit:
    commit: Commit = standing.submit()
    commit.ticket = ticket
    return commit


def test_a_caller_that_appends_when_it_is_told_comes_behind(standing: Standing) -> None:
    commits: list[Commit] = []

    def again() -> None:
        commits.append(standing.submit())

    ticket_of(standing, calling(again))
    ticket_of(standing, calling(again))
    standing.short.settle(standing.take())
    assert [commit.last for commit in commits] == [3, 4]
    assert standing.actor.committed == 2
    standing.short.settle(standing.take())
    assert (standing.actor.committed, standing.actor.pending) == (4, None)
    assert all(commit.ticket.done() for commit in commits)


def test_whoever_joined_before_is_told_and_whoever_joins_meanwhile_is_not(
    standing: Standing,
) -> None:
    """As on the Python side, which looks once."""
    told: list[int] = []
    commit: Commit = standing.submit()
    commit.ticket = calling(lambda: commit.also_tell(calling(lambda: told.append(-1))))

    def tell(n: int) -> None:
        told.append(n)
        gc.collect(0)

    for n in range(50):
        commit.also_tell(calling(partial(tell, n)))
    standing.short.settle(standing.take())
    assert told == list(range(50))


def test_a_ticket_that_is_taken_away_while_it_is_told_is_no_crash(standing: Standing) -> None:
    def away() -> bool:
        commit.ticket = commit.waiting = None  # type: ignore[assignment]
        gc.collect()
        return False

    commit = ticket_of(standing, calling(lambda: None, asked=away))
    commit.also_tell(calling(lambda: commit.waiting))
    standing.short.settle(standing.take())


def test_a_batch_and_an_actor_that_go_away_while_they_are_told_are_no_crash(
    standing: Standing,
) -> None:
    told = []

    def away() -> None:
        told.append(1)
        batch.clear()
        standing.directory._cells.clear()
        for each in (one, two):
            each.actor = None  # type: ignore[assignment]
        standing.actor = None  # type: ignore[assignment]
        gc.collect()

    one, two = ticket_of(standing, calling(away)), ticket_of(standing, calling(away))
    batch = standing.take()
    standing.short.settle(batch)
    assert told == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_cannot_be_told_does_not_keep_the_others_from_it(standing: Standing) -> None:
    def fail() -> None:
        raise ValueError("cannot be told")

    told: list[int] = []
    for n in range(4):
        commit = ticket_of(standing, calling(fail if n % 2 else lambda n=n: told.append(n)))
        commit.also_tell(calling(fail))
        commit.also_tell(calling(lambda n=n: told.append(10 + n)))
    standing.short.settle(standing.take())
    assert told == [0, 10, 11, 2, 12, 13]
    assert standing.actor.committed == 4


def test_an_interrupt_is_not_swallowed(standing: Standing) -> None:
    def interrupt(*_: object) -> Any:
        raise KeyboardInterrupt

    ticket_of(standing, calling(interrupt))
    with pytest.raises(KeyboardInterrupt):
        standing.short.settle(standing.take())
    for name in ("new_ticket", "dumps", "event_type_json"):
        with pytest.raises(KeyboardInterrupt):
            rebuilt(standing, **{name: interrupt}).submit(PLACE, PLAIN, STAMP)


def rebuilt(standing: Standing, **changed: Any) -> Any:
    """The same way, made of other functions."""
    made: dict[str, Any] = {}
    recorder = SimpleNamespace(ShortWay=lambda **parts: made.update(parts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "core", recorder)
        new_ticket = standing.loop.create_future
        compiled.short_way(standing.directory, standing.writer, new_ticket, standing.limits)
    return native.core.ShortWay(**{**made, **changed})


def test_of_two_that_append_at_once_one_is_left_to_the_python_side(standing: Standing) -> None:
    """A ticket maker that appends itself: two events would get one number."""
    inner: list[Any] = []

    def make() -> Any:
        inner.append(standing.submit())
        return standing.loop.create_future()

    assert rebuilt(standing, new_ticket=make).submit(PLACE, PLAIN, STAMP) is None
    assert standing.take() == inner
    assert standing.actor.sequence == 1


@pytest.mark.parametrize("pending", [0, 1])
@pytest.mark.parametrize("name", ["_soon", "_outbox", "_bytes_waiting"])
def test_a_writer_that_fails_leaves_everything_as_it_was(
    standing: Standing, name: str, pending: int
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the loop is closed")

    for _ in range(pending):
        standing.submit()
    standing.writer._outbox = []  # so that the writer has to be woken
    before, kept = standing.state(), getattr(standing.writer, name)
    setattr(standing.writer, name, fail)
    with pytest.raises((RuntimeError, TypeError)):
        standing.submit()
    setattr(standing.writer, name, kept)
    assert standing.state() == before


def test_a_closed_writer_and_a_full_one_are_left_to_the_python_side(core: Any) -> None:
    standing = Standing(commit_bytes_waiting_max=1024)
    while standing.submit() is not None:
        assert standing.writer._bytes_waiting <= 1024
    assert len(standing.take()) > 2
    standing.writer._open = False
    before = standing.state()
    assert standing.submit() is None
    assert standing.state() == before
    standing.close()


def test_a_single_event_beyond_the_bound_is_taken_when_nothing_waits(core: Any) -> None:
    standing = Standing(commit_bytes_waiting_max=1024)
    big = {"event_type": "t", "payload": {"x": "y" * 3000}}
    assert standing.submit(big) is not None
    assert standing.submit() is None
    standing.close()


def test_an_actor_that_is_busy_closed_or_of_another_mode_is_left_alone(standing: Standing) -> None:
    cell, actor = standing.directory._cells[KEY], standing.actor
    for target, name, value in (
        (cell, "turn", object()),
        (cell, "state", None),
        (actor, "closed", True),
        (actor, "mode", None),
        (actor, "mode", "other"),
        (actor, "sequence", (1 << 40) - 1),
        (actor, "sequence", 2**64),
        (actor, "sequence", -1),
        (actor, "epoch", 2**32),
    ):
        kept = getattr(target, name)
        setattr(target, name, value)
        before = standing.state()
        assert standing.submit() is None
        assert standing.state() == before
        setattr(target, name, kept)
    assert standing.submit(place=PLACE._replace(key="unknown")) is None
    assert standing.submit(stamp=STAMP._replace(mode=f"{STAMP.mode[0]}ab")) is not None


def test_settling_tells_every_kind_of_ticket(standing: Standing) -> None:
    told: list[Any] = []
    future = standing.loop.create_future()
    ticket_of(standing, future)
    given_up = standing.loop.create_future()
    given_up.cancel()
    ticket_of(standing, given_up)
    answered = Told(lambda appended, error: told.append((appended, error)))
    commit = ticket_of(standing, answered)
    answered.answer = commit.appended
    standing.short.settle(tuple(standing.take()))
    assert future.result() is None
    assert told == [(standing.short.answer(commit), None)] == [(commit.appended(), None)]
    assert isinstance(standing.loop, asyncio.AbstractEventLoop)
