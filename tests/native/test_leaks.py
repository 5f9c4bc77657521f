"""After many appends nothing is left of them, whatever became of them."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventspine.actors.stream import EVENTS, Commit, StreamActor
from eventspine.adapters.filesystem.streams.backlog import Unflushed
from eventspine.contracts.answers import Appended
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import StoreFull
from eventspine.contracts.stores import StreamCommit
from tests.actors.faulty import CONTEXT, event
from tests.api.both_ways import EVENT, post, read_one
from tests.api.serving import Served, settings_of
from tests.inner import examples
from tests.native.standing import PLACE, PLAIN, STAMP, Standing

SHARED = [None, True, False, EVENTS, Commit, StreamActor, Cursor, Appended, PLACE, STAMP, PLAIN]
LANE_TICKET = "LaneTicket"
TIMES = examples(2000)


def left(*names: str) -> int:
    """How many objects of these types there are."""
    gc.collect()
    return sum(type(each).__name__ in names for each in gc.get_objects())


def commits() -> int:
    """How many there are, and what else holds the type: the collector does not see all of them."""
    gc.collect()
    return sys.getrefcount(Commit)


def grown(work: Callable[[], object], times: int = TIMES) -> tuple[int, list[int]]:
    """Bytes, and references to what is shared, that are more after `times` than before."""
    for _ in range(times // 4):
        work()
    gc.collect()
    gc.freeze()  # what all other tests have made is not looked at again and again
    tracemalloc.start()
    for _ in range(10):
        work()
    gc.collect()
    bytes_before = tracemalloc.get_traced_memory()[0]
    references = [sys.getrefcount(each) for each in SHARED]
    for _ in range(times):
        work()
    gc.collect()
    bytes_after = tracemalloc.get_traced_memory()[0]
    after = [sys.getrefcount(each) for each in SHARED]
    tracemalloc.stop()
    gc.unfreeze()
    return bytes_after - bytes_before, [b - a for a, b in zip(references, after, strict=True)]


def assert_flat(work: Callable[[], object], times: int = TIMES) -> None:
    more, references = grown(work, times)
    assert more < max(times, 1000), f"{more} bytes more after {times} times"
    for what, change in zip(SHARED, references, strict=True):
        assert abs(change) < times // 4, f"{change} references more to {what} after {times} times"


def test_an_append_and_its_answer_leave_nothing(standing: Standing) -> None:
    def once() -> None:
        commits = [standing.submit() for _ in range(3)]
        commits[1].also_tell(standing.loop.create_future())
        standing.short.settle(standing.take())
        for commit in commits:
            standing.short.answer(commit)
        standing.turn()  # of which the loop keeps a handle until then

    before = commits()
    assert_flat(once)
    assert commits() == before


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"event_type": "t", "payload": {"n": None}},
        {"event_type": "t", "payload": {"n": 2**70}},
        {"event_type": "\n", "payload": {"n": 1}},
        {"event_type": "", "payload": {"n": 1}},
        {"event_type": 1, "payload": {"n": 1}},
        {"event_type": "t", "payload": 1},
        {"event_type": "t", "payload": {"x": "y" * 2_000_000}},
    ],
    ids=range(9),
)
def test_what_is_left_to_the_python_side_leaves_nothing(standing: Standing, event: Any) -> None:
    is_long = "y" * 9 in str(event)[:99]
    assert_flat(lambda: standing.submit(event), TIMES // 10 if is_long else TIMES)


def test_refusals_and_errors_leave_nothing(standing: Standing) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("refused")

    def once() -> None:
        for name, value in (("_open", False), ("_bytes_waiting", 1 << 40), ("_soon", refused)):
            kept = getattr(standing.writer, name)
            setattr(standing.writer, name, value)
            with suppress(RuntimeError):
                assert standing.submit() is None
            setattr(standing.writer, name, kept)
        for args in ((), (PLACE, PLAIN, None)):
            with suppress(TypeError):
                standing.short.submit(*args)

    before = commits()
    assert_flat(once)
    assert commits() == before


def test_many_event_types_leave_no_more_than_are_kept(standing: Standing) -> None:
    names = iter(range(10**9))

    def once() -> None:
        for _ in range(100):
            standing.submit({"event_type": f"type {next(names)}", "payload": {}})
        standing.take()
        standing.actor.pending = None
        standing.turn()

    more, _ = grown(once, 200)
    assert more < 2_000_000  # 4,096 of them


def test_ways_that_were_made_and_let_go_leave_nothing(core: Any) -> None:
    def once() -> None:
        standing = Standing()
        standing.submit()
        standing.writer.settle_all = standing.short.settle  # a cycle
        standing.short.settle(standing.take())  # as every commit is, in the end
        standing.close()

    before = commits() + left("Writer")
    for _ in range(20):
        once()
    assert commits() + left("Writer") == before


def test_batches_leave_nothing(core: Any) -> None:
    batch = [StreamCommit("k", "lab", 1, 1, [b"line"]), StreamCommit("é", "lab", 1, 2, (b"x",))]
    bad = [*batch, StreamCommit("k", "lab", -1, 1, [b"line"])]

    def once() -> None:
        core.encode_entries(batch)
        adding: dict[str, Unflushed] = {}

        def other(commit: StreamCommit) -> None:
            adding.setdefault(commit.key, Unflushed(commit)).add(commit)

        core.extend_known(adding, batch * 3, other)
        for refused in (bad, None, [1]):
            for step in (core.encode_entries, lambda it: core.extend_known(adding, it, None)):
                with suppress(TypeError, OverflowError):
                    step(refused)

    assert_flat(once, TIMES // 2)


def test_writes_leave_nothing(core: Any, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        fd = file.fileno()

        def once() -> None:
            core.write_all([(fd, b"abc", 0), (fd, bytearray(b"abc"), 3)])
            core.write_sealed(fd, b"abc", 0, fd, b"abc")
            for writes in ([(fd, b"abc", 0), (-1, b"abc", 0)], [(fd, bytearray(1), 0), 5], 5):
                with suppress(OSError, TypeError):
                    core.write_all(writes)

        assert_flat(once, TIMES // 2)


# --- a whole spine, and a whole server ---


@pytest.mark.slow
@pytest.mark.anyio
async def test_thousands_of_appends_leave_no_commit(tmp_path: Path, core: Any) -> None:
    from eventspine.bootstrap import open_spine

    lab = CONTEXT.model_copy(update={"tenant_id": "t_demo", "env": "dev"})
    before = commits()
    async with open_spine(tmp_path, lab=True) as spine:

        async def produce(who: int) -> None:
            for n in range(300):
                with anyio.move_on_after(0.0005 if n % 50 == 9 else 10):  # some give up
                    await spine.append(f"s{who % 3}", event(n), lab)

        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for who in range(10):
                    tasks.start_soon(produce, who)
        await spine.append("last", event(0), lab)
        assert spine._hosts[0].short.taken > 5000
        # The last batch, in which each may have two when it gave up on one; and the way itself.
        assert commits() - before <= 21
    assert commits() - before <= 1


@pytest.mark.slow
def test_thousands_of_requests_leave_neither_commit_nor_ticket(
    tmp_path: Path, core: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "eventspine")  # a record keeps its error, and that the batch
    before = commits(), left(LANE_TICKET)
    with Served(tmp_path, settings_of()) as server:
        one_stream(server, 1500)
        closed_at_once(server, 40)
        refused(server, 20)
        one_stream(server, 50)
        assert server.lanes is not None
        assert server.lanes.appends.compiled > 1000
        server.wait_until(lambda _: commits() <= before[0] + 2)  # the last batch, the way
    assert commits() <= before[0] + 1
    assert left(LANE_TICKET) == before[1]


@pytest.mark.slow
def test_connections_that_are_gone_are_let_go(tmp_path: Path, core: Any) -> None:
    with Served(tmp_path, settings_of()) as server:
        one_stream(server, 20)
        before = left("LaneProtocol")
        closed_at_once(server, 40)
        one_stream(server, 20)  # so that the last batch is none of theirs
        server.wait_until(lambda _: left("LaneProtocol") <= before + 1)


def one_stream(server: Served, times: int) -> None:
    with server.connect() as sock:
        for n in range(times):
            field = ["X-User-Id: u", "Prefer: return=minimal", "X-Request-Id: mine"][n % 3]
            sock.sendall(post(f"s{n % 5}", EVENT, field))
            assert b" 201 " in read_one(sock)


def closed_at_once(server: Served, times: int) -> None:
    """Connections that are gone before their commit is."""
    for n in range(times):
        with server.connect() as sock:
            sock.sendall(post(f"s{n % 5}") * 3)


def refused(server: Served, times: int) -> None:
    """Commits that fail, and requests that are no good."""

    def fail(batch: object) -> None:
        raise StoreFull("no space left")

    def plant(spine: Any, commit: Any = None) -> Any:
        (host,) = spine._hosts
        before, host.writer.thread.commit = host.writer.thread.commit, commit or fail
        return before

    with server.connect() as sock:
        for n in range(times):
            kept = server.ask(plant)
            sock.sendall(post(f"s{n % 5}"))
            assert b" 507 " in read_one(sock)
            server.ask(partial(plant, commit=kept))
            for body, status in ((b"{", b" 400 "), (EVENT, b" 201 ")):
                sock.sendall(post(f"s{n % 5}", body))
                assert status in read_one(sock)
