"""An audience alone: no loop, so that every interleaving of news and passes can be played."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from eventspine.actors.audience import READERS_A_PASS, SLICE_BYTES_MAX, Audience, Reader
from eventspine.contracts.answers import TailSlice


class Waiting:
    """A ticket nobody awaits; it remembers that it was settled."""

    def __init__(self) -> None:
        self.woken = False

    def done(self) -> bool:
        return self.woken

    def set_result(self, value: bool, /) -> None:
        self.woken = True

    def set_exception(self, error: BaseException, /) -> None:
        raise error

    def __await__(self):
        raise AssertionError


class Got:
    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def take(self, piece: TailSlice) -> bool:
        assert piece.first == len(self.lines) + 1
        self.lines.extend(piece.lines)
        return True


class Stage:
    """An audience whose passes run when the test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], object]] = []
        self.waits: list[float] = []
        self.audience = Audience(1, self._later)
        self.lines: list[bytes] = []

    def _later(self, wait_s: float, function: Callable[[], object]) -> None:
        self.waits.append(wait_s)
        self.due.append(function)

    def reader(self, sink: Got | None) -> Reader:
        reader = Reader(0)
        reader.sink, reader.ticket = sink, Waiting()
        self.audience.join(reader)
        return reader

    def append(self, *lines: bytes) -> None:
        self.audience.tell(lines, len(self.lines) + 1)
        self.lines += lines

    def step(self) -> None:
        assert len(self.due) <= 1, "an audience has one pass under way"
        self.due.pop()()


@pytest.mark.parametrize("seed", range(20))
def test_news_at_any_moment_reaches_everybody_once_in_order(seed: int) -> None:
    rng, stage = random.Random(seed), Stage()
    sinks = [Got() for _ in range(rng.randrange(1, 4 * READERS_A_PASS))]
    for sink in sinks:
        stage.reader(sink)
    for n in range(40):
        if rng.random() < 0.5:
            size = rng.choice([1, 10, SLICE_BYTES_MAX])
            stage.append(*(b"%d" % n + b"x" * size for _ in range(rng.randrange(1, 4))))
        elif stage.due:
            stage.step()
    while stage.due:
        stage.step()
    assert all(sink.lines == stage.lines for sink in sinks), f"seed {seed}"


def test_a_pass_serves_so_many_and_lets_the_loop_run() -> None:
    stage, sinks = Stage(), [Got() for _ in range(2 * READERS_A_PASS + 1)]
    for sink in sinks:
        stage.reader(sink)
    stage.append(b"a")
    served = []
    while stage.due:
        stage.step()
        served.append(sum(len(sink.lines) for sink in sinks))
    assert served == [READERS_A_PASS, 2 * READERS_A_PASS, 2 * READERS_A_PASS + 1]


def test_readers_of_one_position_share_one_slice_and_its_encoding() -> None:
    stage, pieces = Stage(), []

    class Keeper(Got):
        def take(self, piece: TailSlice) -> bool:
            pieces.append(piece)
            return super().take(piece)

    for _ in range(READERS_A_PASS + 5):
        stage.reader(Keeper())
    stage.append(b"a", b"b")
    stage.step()
    stage.append(b"c")  # the rest of this round gets it too; the others in the next
    while stage.due:
        stage.step()
    assert len({id(piece) for piece in pieces}) == 3
    assert len(pieces) == 2 * READERS_A_PASS + 5


def test_who_has_no_sink_is_woken_and_who_left_is_not() -> None:
    stage = Stage()
    puller, gone = stage.reader(None), stage.reader(Got())
    waiting, left = puller.ticket, gone.ticket
    stage.append(b"a")
    stage.audience.leave(gone)
    stage.step()
    assert waiting is not None
    assert waiting.done()
    assert puller.sequence == 0
    assert left is not None
    assert not left.done()
    assert len(stage.audience) == 1


def test_another_life_of_the_stream_begins_with_nothing() -> None:
    stage = Stage()
    stage.append(b"a", b"b")
    assert stage.audience.slice_after(0) is not None
    stage.audience.forget(2)
    assert stage.audience.slice_after(0) is None
    stage.audience.tell([b"n"], 1)
    piece = stage.audience.slice_after(0)
    assert piece is not None
    assert (piece.epoch, piece.lines) == (2, [b"n"])
