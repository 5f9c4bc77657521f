"""The supervisor tree: start, readiness, restart, escalation, drain, children at run time."""

from __future__ import annotations

import random
from dataclasses import asdict

import anyio
import anyio.lowlevel
import pytest
from anyio import create_task_group, wait_all_tasks_blocked

from eventspine.contracts.errors import Draining
from eventspine.runtime.child import ChildSpec, stop_requested
from eventspine.runtime.restart import Backoff
from eventspine.runtime.supervisor import Escalation, StartFailed, Supervisor
from eventspine.testing.virtual_time import VIRTUAL

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", [*VIRTUAL, "uvloop"], indirect=True),
]
PAUSE = Backoff(0.001, 0.002)


class Outage(Exception):
    pass


class Fenced(Exception):
    pass


class Service:
    """A child that logs +ready, -stopped and !crashed, and ends when it is told to."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log
        self.starts = 0
        self.orders: list[Exception | None] = []  # what next ends come to; None is a normal end
        self.fail_start: list[Exception | None] = []
        self.start_s = self.drain_s = 0.0
        self.told = anyio.Event()
        self.listens = False
        self.on_cancel: Exception | None = None

    def spec(self, restart="permanent", shutdown_s=5.0) -> ChildSpec:
        return ChildSpec(self.name, self.run, restart, shutdown_s)

    def end(self, error: Exception | None = None) -> None:
        self.orders.append(error)
        self.told.set()

    async def run(self, *, task_status) -> None:
        self.starts += 1
        self.told = anyio.Event()
        await anyio.sleep(self.start_s)
        if self.fail_start:
            error = self.fail_start.pop(0)
            if error is None:
                return
            raise error
        self.log.append(f"+{self.name}")
        task_status.started()
        try:
            if self.listens:
                await stop_requested()
                await anyio.sleep(self.drain_s)
                self.log.append(f"~{self.name}")
                return
            await self.told.wait()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await anyio.sleep(self.drain_s)
            self.log.append(f"-{self.name}")
            if self.on_cancel is not None:
                raise self.on_cancel from None
            raise
        self.log.append(f"!{self.name}")
        if (error := self.orders.pop(0)) is not None:
            raise error


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def abc(log) -> list[Service]:
    return [Service(name, log) for name in "abc"]


def supervisor_of(services, *, restart="permanent", **options) -> Supervisor:
    options.setdefault("backoff", PAUSE)
    options.setdefault("rng", random.Random(1))
    return Supervisor("s", [service.spec(restart) for service in services], **options)


async def settle() -> None:
    """Let back-offs (at most 2 ms each) and what follows from them happen."""
    await anyio.sleep(0.02)
    await wait_all_tasks_blocked()


async def started(tasks, supervisor: Supervisor) -> None:
    await tasks.start(lambda *, task_status: supervisor.run(task_status=task_status))


# --- start and drain -----------------------------------------------------------------------


async def test_children_start_left_to_right_each_when_the_one_before_is_ready(log, abc) -> None:
    abc[0].start_s = 0.02
    async with create_task_group() as tasks:
        await started(tasks, supervisor_of(abc))
        assert log == ["+a", "+b", "+c"]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
async def test_a_drain_goes_right_to_left_one_after_the_other(log, abc, strategy) -> None:
    abc[2].drain_s, abc[1].drain_s = 0.02, 0.01
    async with create_task_group() as tasks:
        await started(tasks, supervisor_of(abc, strategy=strategy))
        tasks.cancel_scope.cancel()
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_a_child_that_listens_ends_by_itself_within_its_time(log, abc) -> None:
    abc[1].listens, abc[1].drain_s = True, 0.02
    async with create_task_group() as tasks:
        await started(tasks, supervisor_of(abc))
        tasks.cancel_scope.cancel()
    assert log[3:] == ["-c", "~b", "-a"]


async def test_a_child_that_listens_but_takes_too_long_is_cancelled(log, abc) -> None:
    abc[1].listens, abc[1].drain_s = True, 0.2
    specs = [abc[0].spec(), abc[1].spec(shutdown_s=0.05)]

    async def run_b(*, task_status) -> None:
        task_status.started()
        await stop_requested()
        log.append("asked")
        try:
            await anyio.sleep(3600)
        finally:
            log.append("cancelled")

    specs[1] = ChildSpec("b", run_b, shutdown_s=0.05)
    async with create_task_group() as tasks:
        await started(tasks, Supervisor("s", specs))
        began_s = anyio.current_time()
        tasks.cancel_scope.cancel()
    assert log == ["+a", "asked", "cancelled", "-a"]
    assert 0.04 < anyio.current_time() - began_s < 2


async def test_a_child_that_ignores_cancellation_is_shown_and_waited_for(abc, log, caplog) -> None:
    abc[0].drain_s = 0.2
    supervisor = Supervisor("s", [abc[0].spec(shutdown_s=0.05)])
    async with create_task_group() as tasks:
        await started(tasks, supervisor)

        async def watch() -> None:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.1)
                assert supervisor.tree().children[0].overdue

        tasks.start_soon(watch)
        await wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert log == ["+a", "-a"]
    assert "ignores its cancellation" in caplog.text


async def test_a_failed_first_start_fails_the_supervisor_and_drains_who_is_up(log, abc) -> None:
    abc[1].fail_start = [OSError("no disk")]
    with pytest.raises(OSError, match="no disk"):
        await supervisor_of(abc).run()
    assert log == ["+a", "-a"]
    assert abc[1].starts == 1


async def test_a_permanent_child_that_ends_before_it_is_ready_fails_the_start(abc) -> None:
    abc[1].fail_start = [None]
    with pytest.raises(StartFailed, match="b of s"):
        await supervisor_of(abc).run()
    abc[1].fail_start = [None]
    async with create_task_group() as tasks:
        await started(tasks, supervisor_of(abc, restart="transient"))
        tasks.cancel_scope.cancel()


async def test_cancelling_during_the_start_drains_who_is_up(log, abc) -> None:
    abc[1].start_s = 1000
    async with create_task_group() as tasks:
        tasks.start_soon(supervisor_of(abc).run)
        await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
    assert log == ["+a", "-a"]


# --- strategies ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", ["!b", "+b"]),
        ("rest_for_one", ["!b", "-c", "+b", "+c"]),
        ("one_for_all", ["!b", "-c", "-a", "+a", "+b", "+c"]),
    ],
)
async def test_a_crash_restarts_whom_the_strategy_names(log, abc, strategy, expected) -> None:
    abc[2].drain_s = 0.005
    async with create_task_group() as tasks:
        await started(tasks, supervisor_of(abc, strategy=strategy))
        abc[1].end(RuntimeError("x"))
        await settle()
        await settle()
        assert log[3:] == expected
        tasks.cancel_scope.cancel()


async def test_a_group_restart_waits_for_each_to_be_ready_before_the_next(log, abc) -> None:
    async with create_task_group() as tasks:
        await started(tasks, supervisor_of(abc, strategy="one_for_all"))
        abc[0].start_s = 0.03
        abc[2].end(RuntimeError("x"))
        await anyio.sleep(0.1)
        assert log[3:] == ["!c", "-b", "-a", "+a", "+b", "+c"]
        tasks.cancel_scope.cancel()


async def test_one_childs_back_off_delays_no_sibling(log, abc) -> None:
    backoff = Backoff(1000.0, 1000.0)
    supervisor = supervisor_of(abc, backoff=backoff, rng=random.Random(4))
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        abc[0].end(RuntimeError("x"))
        await wait_all_tasks_blocked()
        waiting = supervisor.tree().children[0]
        assert waiting.state == "waiting"
        assert waiting.due_in_s is not None
        assert 0 < waiting.due_in_s <= 1000
        assert [child.state for child in supervisor.tree().children[1:]] == ["running"] * 2
        await supervisor.stop_child("b")
        assert log[3:] == ["!a", "-b"]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("restart", "error", "comes_back"),
    [
        ("permanent", None, True),
        ("permanent", RuntimeError(), True),
        ("transient", None, False),
        ("transient", RuntimeError(), True),
        ("temporary", None, False),
        ("temporary", RuntimeError(), False),
    ],
)
async def test_restart_types(abc, restart, error, comes_back) -> None:
    supervisor = supervisor_of(abc, restart=restart)
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        abc[1].end(error)
        await settle()
        assert abc[1].starts == (2 if comes_back else 1)
        assert supervisor.tree().children[1].state == ("running" if comes_back else "ended")
        tasks.cancel_scope.cancel()


async def test_a_temporary_sibling_goes_down_with_the_group_and_stays_down(log, abc) -> None:
    specs = [abc[0].spec(), abc[1].spec("temporary")]
    supervisor = Supervisor("s", specs, strategy="one_for_all", backoff=PAUSE)
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        abc[0].end(RuntimeError())
        await settle()
        assert log == ["+a", "+b", "!a", "-b", "+a"]
        tasks.cancel_scope.cancel()


# --- budget, escalation, outage, fatal -----------------------------------------------------


async def run_plain(supervisor: Supervisor, raised_to: list[Exception]) -> None:
    try:
        await supervisor.run()
    except Exception as error:
        raised_to.append(error)


async def test_one_crash_more_than_the_intensity_escalates_with_its_cause(log, abc) -> None:
    supervisor = supervisor_of(abc, intensity=2, period_s=1000.0)
    raised: list[Exception] = []
    async with create_task_group() as tasks:
        tasks.start_soon(run_plain, supervisor, raised)
        await settle()
        for _ in range(3):
            assert raised == []
            abc[0].end(RuntimeError("again"))
            await settle()
    assert isinstance(raised[0], Escalation)
    assert "more than 2 restarts" in str(raised[0])
    assert isinstance(raised[0].__cause__, RuntimeError)
    assert abc[0].starts == 3
    assert log[-2:] == ["-c", "-b"]


async def test_nesting_multiplies_the_intensities() -> None:
    starts = 0

    async def bad(*, task_status) -> None:
        nonlocal starts
        starts += 1
        task_status.started()
        await anyio.lowlevel.checkpoint()
        raise RuntimeError("bad")

    def nested(depth: int) -> Supervisor:
        below = ChildSpec("bad", bad) if depth == 0 else nested(depth - 1).child_spec()
        return Supervisor(
            f"s{depth}", [below], intensity=2, period_s=1000.0, backoff=Backoff(1e-6, 1e-6)
        )

    with pytest.raises(Escalation) as raised:
        await nested(1).run()
    assert isinstance(raised.value.__cause__, Escalation)
    assert starts == 9  # (2 + 1) * (2 + 1)


async def test_the_budget_is_one_for_all_children(abc) -> None:
    supervisor = supervisor_of(abc, intensity=2, period_s=1000.0)
    raised: list[Exception] = []
    async with create_task_group() as tasks:
        tasks.start_soon(run_plain, supervisor, raised)
        await settle()
        for service in abc:
            service.end(RuntimeError())
            await settle()
    assert isinstance(raised[0], Escalation)


async def test_an_outage_restarts_for_ever_and_spends_no_budget(abc) -> None:
    supervisor = supervisor_of(abc, intensity=1, outage=(Outage,))
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        for _ in range(5):
            abc[0].end(Outage("store is down"))
            await settle()
        abc[0].fail_start = [Outage("still")] * 5
        abc[0].end(Outage("again"))
        for _ in range(6):
            await settle()
        tree = supervisor.tree()
        assert tree.budget_left == 1
        assert (tree.children[0].outages, tree.children[0].restarts) == (11, 0)
        assert tree.children[0].state == "running"
        assert all(cause.outage for cause in tree.children[0].causes)
        tasks.cancel_scope.cancel()


async def test_pauses_grow_with_failures_in_a_row_up_to_the_cap(abc) -> None:
    bounds: list[float] = []

    class Recorder(random.Random):
        def uniform(self, a: float, b: float) -> float:
            bounds.append(b)
            return 0.0

    backoff = Backoff(0.5, 3.0)
    supervisor = supervisor_of(abc, outage=(Outage,), backoff=backoff, rng=Recorder())
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        for _ in range(5):
            abc[0].end(Outage())
            await settle()
        tasks.cancel_scope.cancel()
    assert bounds == [0.5, 1.0, 2.0, 3.0, 3.0]


async def test_a_child_that_was_up_for_a_period_starts_its_back_off_anew(abc) -> None:
    bounds: list[float] = []

    class Recorder(random.Random):
        def uniform(self, a: float, b: float) -> float:
            bounds.append(b)
            return 0.0

    supervisor = supervisor_of(
        abc, outage=(Outage,), backoff=Backoff(0.5, 9.0), period_s=0.2, rng=Recorder()
    )
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        for up_s in (0.0, 0.0, 0.3):
            await anyio.sleep(up_s)
            abc[0].end(Outage())
            await settle()
        tasks.cancel_scope.cancel()
    assert bounds == [0.5, 1.0, 0.5]


@pytest.mark.parametrize("restart", ["permanent", "temporary"])
async def test_a_fatal_error_escalates_at_once_as_it_is(log, abc, restart) -> None:
    supervisor = supervisor_of(abc, restart=restart, fatal=(Fenced,))
    raised: list[Exception] = []
    async with create_task_group() as tasks:
        tasks.start_soon(run_plain, supervisor, raised)
        await settle()
        abc[1].end(Fenced("newer epoch"))
    assert isinstance(raised[0], Fenced)
    assert abc[1].starts == 1
    assert log[3:] == ["!b", "-c", "-a"]


async def test_a_fatal_error_of_a_sibling_that_is_being_stopped_is_not_lost(abc) -> None:
    abc[2].on_cancel = Fenced("found while flushing")
    supervisor = supervisor_of(abc, strategy="one_for_all", fatal=(Fenced,))
    raised: list[Exception] = []
    async with create_task_group() as tasks:
        tasks.start_soon(run_plain, supervisor, raised)
        await settle()
        abc[0].end(RuntimeError())
    assert isinstance(raised[0], Fenced)


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
async def test_a_crash_racing_the_cancellation_neither_leaks_nor_restarts(abc, strategy) -> None:
    abc[1].on_cancel = RuntimeError("drain failed")
    async with create_task_group() as tasks:
        await started(tasks, supervisor_of(abc, strategy=strategy))
        tasks.cancel_scope.cancel()
    assert [service.starts for service in abc] == [1, 1, 1]


async def test_a_supervisor_cancelled_in_a_back_off_restarts_nobody(abc) -> None:
    supervisor = supervisor_of(abc, backoff=Backoff(1000.0, 1000.0), rng=random.Random(4))
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        abc[0].end(RuntimeError())
        await wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert abc[0].starts == 1


async def test_a_group_of_errors_out_of_a_child_is_understood(abc) -> None:
    supervisor = supervisor_of(abc, outage=(Outage,))
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        abc[0].end(ExceptionGroup("task group", [Outage("x")]))
        await settle()
        child = supervisor.tree().children[0]
        assert (child.outages, child.causes[0].cause) == (1, "Outage('x')")
        tasks.cancel_scope.cancel()


# --- children at run time ------------------------------------------------------------------


async def test_a_child_added_at_run_time_is_supervised_and_drained_first(log, abc) -> None:
    supervisor = supervisor_of(abc[:2])
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        abc[2].start_s = 0.01
        await supervisor.start_child(abc[2].spec())
        assert log == ["+a", "+b", "+c"]
        abc[2].end(RuntimeError())
        await settle()
        await settle()
        assert abc[2].starts == 2
        tasks.cancel_scope.cancel()
    assert log[-3:] == ["-c", "-b", "-a"]


async def test_a_child_whose_added_start_fails_is_gone_and_harms_nobody(log, abc) -> None:
    supervisor = supervisor_of(abc[:2], intensity=0)
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        abc[2].fail_start = [OSError("no")]
        with pytest.raises(OSError, match="no"):
            await supervisor.start_child(abc[2].spec())
        assert [child.name for child in supervisor.tree().children] == ["a", "b"]
        with pytest.raises(ValueError, match="already"):
            await supervisor.start_child(abc[0].spec())
        await supervisor.start_child(abc[2].spec())
        tasks.cancel_scope.cancel()
    with pytest.raises(Draining):
        await supervisor.start_child(abc[2].spec())


async def test_cancelling_who_adds_a_child_takes_the_child_away_again(abc) -> None:
    supervisor = supervisor_of(abc[:1])
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        abc[1].start_s = 1000
        with anyio.move_on_after(0.01):
            await supervisor.start_child(abc[1].spec())
        assert [child.name for child in supervisor.tree().children] == ["a"]
        tasks.cancel_scope.cancel()


async def test_a_child_being_added_when_the_supervisor_stops_is_answered(abc) -> None:
    supervisor = supervisor_of(abc[:1])
    raised: list[Exception] = []

    async def add() -> None:
        try:
            await supervisor.start_child(abc[1].spec())
        except Exception as error:
            raised.append(error)

    abc[1].start_s = 1000
    async with create_task_group() as outer, create_task_group() as tasks:
        await started(tasks, supervisor)
        outer.start_soon(add)
        await wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert isinstance(raised[0], Draining)


async def test_a_stopped_child_is_gone_and_not_restarted(log, abc) -> None:
    supervisor = supervisor_of(abc)
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        await supervisor.stop_child("b")
        await supervisor.stop_child("never")
        await settle()
        assert log[3:] == ["-b"]
        assert [child.name for child in supervisor.tree().children] == ["a", "c"]
        tasks.cancel_scope.cancel()


async def test_stopping_a_child_finishes_although_its_stopper_is_cancelled(abc) -> None:
    abc[0].drain_s = 0.02
    supervisor = supervisor_of(abc)
    async with create_task_group() as tasks:
        await started(tasks, supervisor)
        with anyio.move_on_after(0.001):
            await supervisor.stop_child("a")
        await anyio.sleep(0.05)
        assert [child.name for child in supervisor.tree().children] == ["b", "c"]
        tasks.cancel_scope.cancel()


# --- tree ----------------------------------------------------------------------------------


async def test_the_tree_shows_children_causes_and_what_is_below(log, abc) -> None:
    inner = Supervisor("inner", [abc[1].spec(), abc[2].spec()], backoff=PAUSE)
    outer = Supervisor("outer", [abc[0].spec(), inner.child_spec()], intensity=7)
    async with create_task_group() as tasks:
        await started(tasks, outer)
        for number in range(3):
            abc[1].end(RuntimeError(number))
            await settle()
        tree = asdict(outer.tree())
        tasks.cancel_scope.cancel()
    assert (tree["strategy"], tree["budget_left"], tree["running"]) == ("one_for_one", 7, True)
    below = tree["children"][1]["below"]
    assert below["budget_left"] == 0
    shown = below["children"][0]
    assert (shown["name"], shown["state"], shown["restarts"]) == ("b", "running", 3)
    assert [cause["cause"] for cause in shown["causes"]] == [
        f"RuntimeError({number})" for number in range(3)
    ]
    assert shown["up_s"] >= 0
    assert log[-3:] == ["-c", "-b", "-a"]


async def test_a_supervisor_can_run_again_with_a_fresh_budget(abc) -> None:
    inner = Supervisor("inner", [abc[0].spec()], intensity=0, backoff=PAUSE)
    outer = Supervisor("outer", [inner.child_spec()], backoff=PAUSE)
    async with create_task_group() as tasks:
        await started(tasks, outer)
        abc[0].end(RuntimeError())
        await settle()
        assert abc[0].starts == 2
        assert outer.tree().children[0].restarts == 1
        tasks.cancel_scope.cancel()


async def test_two_children_of_one_name_are_refused(abc) -> None:
    with pytest.raises(ValueError, match="same name"):
        Supervisor("s", [abc[0].spec(), abc[0].spec()])
