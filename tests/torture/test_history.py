"""The history checker finds every kind of broken promise, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.torture.history import History, Kind, ReaderPosition, Row, StreamHistory

Plant = Callable[[StreamHistory], None]


def body(event_id: str) -> bytes:
    return f"body of {event_id}".encode()


def row(sequence: int, event_id: str) -> Row:
    return Row(sequence, event_id, body(event_id))


def rows(*ids: str) -> list[Row]:
    return [row(n, event_id) for n, event_id in enumerate(ids, 1)]


def sent(*ids: str, client: str = "ann") -> tuple[History, StreamHistory]:
    history = History()
    stream = history["s"]
    stream.will_send(client, [(event_id, body(event_id)) for event_id in ids])
    return history, stream


def acked(*ids: str) -> tuple[History, StreamHistory]:
    history, stream = sent(*ids)
    for n, event_id in enumerate(ids, 1):
        stream.acknowledge(event_id, n)
    return history, stream


def kinds(history: History) -> set[Kind]:
    return {violation.kind for violation in history.violations}


# --- what is right ---


def test_a_perfect_history_has_no_violation() -> None:
    history, stream = acked("a", "b", "c")
    stream.read_all(rows("a", "b", "c"), stream.mark(), "pages")
    stream.acknowledge("b", 2)  # sent again, answered again
    assert history.verdict() == ""
    assert history.acknowledged == 3


def test_an_event_nobody_was_answered_for_may_be_there_or_not() -> None:
    for found in (rows("a"), rows("a", "b")):
        history, stream = sent("a", "b")
        stream.acknowledge("a", 1)
        stream.read_all(found, stream.mark(), "pages")
        assert history.verdict() == ""


def test_what_is_acknowledged_while_a_reading_runs_is_not_missed() -> None:
    history, stream = sent("a", "b")
    stream.acknowledge("a", 1)
    mark = stream.mark()
    stream.acknowledge("b", 2)
    stream.read_all(rows("a"), mark, "pages")
    assert history.verdict() == ""


def test_what_somebody_else_reads_while_a_reading_runs_is_not_missed() -> None:
    history, stream = sent("a", "b")
    mark = stream.mark()
    live = ReaderPosition()
    for one in rows("a", "b"):
        stream.read_one(one, live, "sse")
    stream.read_all(rows("a"), mark, "pages")
    assert history.verdict() == ""


def test_the_events_of_two_clients_may_mix() -> None:
    history, stream = sent("a1", "a2")
    stream.will_send("bob", [("b1", body("b1")), ("b2", body("b2"))])
    stream.read_all(rows("b1", "a1", "a2", "b2"), stream.mark(), "pages")
    assert history.verdict() == ""


@pytest.mark.parametrize("seed", range(50))
def test_a_correct_log_with_lost_answers_is_never_accused(seed: int) -> None:
    rng = random.Random(seed)
    history = History()
    stream = history["s"]
    log: list[str] = []
    waiting = {c: [f"{c}{n}" for n in range(rng.randrange(1, 20))] for c in ("ann", "bob", "eve")}
    for client, ids in waiting.items():
        stream.will_send(client, [(event_id, body(event_id)) for event_id in ids])
    live = ReaderPosition()
    while any(waiting.values()):
        client = rng.choice([name for name, ids in waiting.items() if ids])
        event_id = waiting[client][0]
        if event_id not in log:
            if rng.random() < 0.2:
                continue  # killed before it was stored
            log.append(event_id)
        if rng.random() < 0.7:  # else stored, and the answer was lost: sent again
            stream.acknowledge(event_id, log.index(event_id) + 1)
            waiting[client].pop(0)
        if rng.random() < 0.3:
            stream.read_all(rows(*log), stream.mark(), "pages")
        while live.last < len(log) and rng.random() < 0.5:
            stream.read_one(row(live.last + 1, log[live.last]), live, "sse")
    stream.read_all(rows(*log), stream.mark(), "pages")
    assert history.verdict() == ""


# --- planted ---


def _lost_at_the_end(stream: StreamHistory) -> None:
    stream.read_all(rows("a", "b"), stream.mark(), "pages")


def _lost_in_the_middle(stream: StreamHistory) -> None:
    stream.read_all([row(1, "a"), row(2, "c")], stream.mark(), "pages")


def _everything_lost(stream: StreamHistory) -> None:
    stream.read_all([], stream.mark(), "pages")


def _doubled(stream: StreamHistory) -> None:
    stream.read_all(rows("a", "b", "c", "b"), stream.mark(), "pages")


def _hole(stream: StreamHistory) -> None:
    stream.read_all([row(1, "a"), row(3, "c")], stream.mark(), "pages")


def _not_from_one(stream: StreamHistory) -> None:
    stream.read_all([row(2, "b"), row(3, "c")], stream.mark(), "pages")


def _swapped(stream: StreamHistory) -> None:
    stream.read_all(rows("a", "c", "b"), stream.mark(), "pages")


def _unknown(stream: StreamHistory) -> None:
    stream.read_all(rows("a", "b", "c", "x"), stream.mark(), "pages")


def _altered(stream: StreamHistory) -> None:
    other = Row(2, "b", b"something else")
    stream.read_all([row(1, "a"), other, row(3, "c")], stream.mark(), "pages")


def _answered_with_another_sequence(stream: StreamHistory) -> None:
    stream.acknowledge("b", 4)


def _two_events_for_one_sequence(stream: StreamHistory) -> None:
    stream.will_send("bob", [("d", body("d"))])
    stream.acknowledge("d", 3)


def _acknowledged_unsent(stream: StreamHistory) -> None:
    stream.acknowledge("x", 4)


def _reader_shown_twice(stream: StreamHistory) -> None:
    reader = ReaderPosition()
    for one in (row(1, "a"), row(2, "b"), row(2, "b")):
        stream.read_one(one, reader, "sse")


def _reader_skipped(stream: StreamHistory) -> None:
    reader = ReaderPosition()
    for one in (row(1, "a"), row(3, "c")):
        stream.read_one(one, reader, "sse")


def _readers_disagree(stream: StreamHistory) -> None:
    stream.will_send("bob", [("d", body("d")), ("e", body("e"))])
    stream.will_send("eve", [("f", body("f"))])
    for last in ("d", "f"):
        reader = ReaderPosition()
        for one in rows("a", "b", "c", last):
            stream.read_one(one, reader, "sse")


def _read_and_then_gone(stream: StreamHistory) -> None:
    stream.will_send("bob", [("d", body("d"))])  # never acknowledged, but a reader saw it
    reader = ReaderPosition()
    for one in rows("a", "b", "c", "d"):
        stream.read_one(one, reader, "sse")
    stream.read_all(rows("a", "b", "c"), stream.mark(), "pages")


PLANTED: list[tuple[Plant, Kind]] = [
    (_lost_at_the_end, Kind.LOST),
    (_lost_in_the_middle, Kind.LOST),
    (_everything_lost, Kind.LOST),
    (_doubled, Kind.DOUBLED),
    (_hole, Kind.GAP),
    (_not_from_one, Kind.GAP),
    (_swapped, Kind.REORDERED),
    (_unknown, Kind.UNKNOWN),
    (_altered, Kind.ALTERED),
    (_answered_with_another_sequence, Kind.RENUMBERED),
    (_two_events_for_one_sequence, Kind.CONTRADICTED),
    (_acknowledged_unsent, Kind.UNKNOWN),
    (_reader_shown_twice, Kind.DOUBLED),
    (_reader_skipped, Kind.GAP),
    (_readers_disagree, Kind.CONTRADICTED),
    (_read_and_then_gone, Kind.VANISHED),
]


@pytest.mark.parametrize(
    ("plant", "kind"), PLANTED, ids=[plant.__name__[1:] for plant, _ in PLANTED]
)
def test_a_planted_violation_is_found(plant: Plant, kind: Kind) -> None:
    history, stream = acked("a", "b", "c")
    plant(stream)
    assert kind in kinds(history), history.verdict()
    assert str(kind) in history.verdict()


def test_every_kind_is_planted() -> None:
    assert {kind for _, kind in PLANTED} == set(Kind)


@pytest.mark.parametrize("seed", range(200))
def test_any_single_damage_to_a_complete_reading_is_found(seed: int) -> None:
    rng = random.Random(seed)
    ids = [f"e{n}" for n in range(rng.randrange(2, 30))]
    history, stream = acked(*ids)
    damaged = rows(*ids)
    at = rng.randrange(len(damaged))
    damage = rng.choice(["drop", "drop and close up", "double", "swap", "alter", "cut"])
    if damage == "drop":
        del damaged[at]
    elif damage == "drop and close up":
        damaged = rows(*ids[:at], *ids[at + 1 :])
    elif damage == "double":
        damaged = rows(*ids[: at + 1], *ids[at:])
    elif damage == "swap":
        other = (at + 1) % len(ids)
        ids[at], ids[other] = ids[other], ids[at]
        damaged = rows(*ids)
    elif damage == "alter":
        damaged[at] = damaged[at]._replace(digest=b"x")
    else:
        damaged = damaged[:at]
    stream.read_all(damaged, stream.mark(), "pages")
    assert history.violations, damage
