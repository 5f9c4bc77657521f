"""Schedules that concentrate on one kind of trouble each.

What has to come together for it does so in every few of their schedules, and would in one of
thousands if each part were left to chance; or in one of hundreds, until the next change of the
product moves everything about. A profile says which trouble, and why in this order. The seed draws
which it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.simulation.habits import Habits
from tests.simulation.life import End, Life, Moment
from tests.simulation.plan import STREAMS, Plan, usual_plan

CRASH: list[End] = ["kill", "power"]


def plan_of(seed: int) -> Plan:
    """Half of them with the compiled twins; a bug planted in the Python side is in the others."""
    rng = random.Random(f"plan {seed}")
    plan = PROFILES[profile_of(seed)](rng, usual_plan(rng))
    native = random.Random(f"native {seed}").random() < 0.5
    return replace(plan, settings=plan.settings.model_copy(update={"native": native}))


def profile_of(seed: int) -> str:
    """Each as often as the others, and what is in none of them twice as often."""
    weights = [2 if name == "any" else 1 for name in PROFILES]
    (name,) = random.Random(f"profile {seed}").choices(list(PROFILES), weights)
    return name


def seeds_of(profile: str, seeds: range) -> Iterator[int]:
    """All of these seeds, those of the profile first."""
    yield from (seed for seed in seeds if profile_of(seed) == profile)
    yield from (seed for seed in seeds if profile_of(seed) != profile)


def _keeps(rng: random.Random) -> bool:
    """Whether a power cut keeps some of it by chance; where it is the loss that is to be seen."""
    return rng.random() < 0.4


def _first_names(rng: random.Random, plan: Plan) -> Plan:
    """Killed after it made a directory, and before that is durable; then the power goes.

    The second process finds the name, and has to doubt it.
    """
    if rng.random() < 0.6:  # of the log: the first checkpoint would make it durable, so be quick
        killed = Life("kill", 1.0, crash_in=Moment("make_directory", "commit_log", 1, later=1))
        moment = Moment("write", "*.log", rng.randint(4, 8))
        cut = Life("power", 1.0, crash_in=moment, keeps=_keeps(rng))
        return replace(plan, lives=[killed, cut]).with_settings(flush_interval_s=0.2)
    made = Moment("write", "events.idx", rng.randint(2, 4), later=rng.randint(1, 6))
    killed = Life("kill", 1.0, crash_in=made)
    cut = Life("power", rng.uniform(0.02, 0.2), keeps=_keeps(rng))
    plan = replace(plan, lives=[killed, cut])
    return plan.with_settings(flush_interval_s=0.005, sync_files_max=1000)


def _torn_tail(rng: random.Random, plan: Plan) -> Plan:
    """A record is torn, or in the page cache only; the next process has no space to recover.

    So the segment stays and is found again after the next crash: with a newer one behind it, if
    there was space again while the flusher still waited to try once more; or with the record lost
    that had been served, if the power went before there was.
    """
    plan = replace(
        plan,
        deeds=[rng.randint(6, 10) for _ in range(2)],
        habits=Habits({"close": 0}, bodies=(10, 200, 600), patience_s=(0.05, 20.0)),
    ).with_settings(flush_interval_s=0.2, log_segment_bytes=20_000)
    nth, full = rng.randint(3, 10), rng.randint(0, 63)
    if rng.random() < 0.65:
        torn: list[tuple[End, str]] = [("kill", "write"), ("kill", "write"), ("power", "sync")]
        end, operation = rng.choice(torn)
        crash = Moment("write", "*.log", rng.randint(2, 6))
        then = Life(rng.choice(CRASH), 1.1, crash_in=crash, space_bytes=full, space_s=0.25)
    else:
        end, operation = "kill", "sync"  # written whole, and not durable
        after_s = rng.uniform(0.1, 0.3)
        then = Life("power", after_s, space_bytes=full, space_s=10.0, keeps=_keeps(rng))
    first = Life(end, 1.0, crash_in=Moment(operation, "*.log", nth))
    return replace(plan, lives=[first, then, *plan.lives[:1]])


def _full_disk(rng: random.Random, plan: Plan) -> Plan:
    """The disk is full for longer than the flusher waits, under a log that has room left.

    What is acknowledged is in memory and in the log alone, and of several streams one is written in
    part: by the flusher, or by a recovery that the flusher goes on with.
    """
    plan = replace(
        plan,
        streams=STREAMS,
        deeds=[rng.randint(5, 9) for _ in range(2)],
        habits=Habits({"without id": 12}, bodies=(0, 10), rest_s=0.1),
        sizes={"STATES_MAX": 1},
    ).with_settings(flush_interval_s=rng.choice([0.005, 0.03, 0.2]), log_segment_bytes=20_000)
    full = Life(
        rng.choice(["stop", "stop", *CRASH]),
        rng.uniform(0.5, 3.0),
        space_bytes=rng.randint(0, 200),
        full_in=Moment("write", "events.*", rng.randint(1, 12)),
        space_s=rng.choice([0.3, 1.5, 5.0]),
    )
    if rng.random() < 0.5:
        return replace(plan, lives=[full, *plan.lives[:1]])
    killed = Life("kill", 1.0, crash_in=Moment("write", "*.log", rng.randint(6, 12)))
    second = Moment("write", "events.jsonl", rng.randint(2, 3))
    plan = replace(
        plan,
        lives=[killed, replace(full, full_in=second, space_s=5.0)],
        deeds=[rng.randint(5, 9) for _ in range(3)],
    )
    return plan.with_settings(flush_interval_s=0.2)


def _no_room(rng: random.Random, plan: Plan) -> Plan:
    """The log itself has no room, or for little and not for much, while readers wait for the disk.

    So appends are refused again and again, with others behind them. Mostly before the flusher
    knows of it: a log that it cannot shorten refuses everything alike.
    """
    little, much = rng.randint(0, 300), rng.randint(700, 5000)
    full = Life(
        rng.choice(["stop", *CRASH]),
        1.0,
        space_bytes=rng.choice([little, much, much]),
        full_at_s=rng.uniform(0.003, 0.015),
        space_s=rng.uniform(0.1, 0.4),
    )
    plan = replace(
        plan,
        lives=[full, *plan.lives[:1]],
        streams=plan.streams[:1],
        deeds=[rng.randint(5, 8) for _ in range(3)],
        listening=plan.streams[:1],
        pages=2,
        cold=1.0,
        pauses=rng.choice([0.3, 0.6]),
        habits=Habits({"side by side": 12, "close": 0}, (0, 10, 400), (0.05, 20.0)),
        sizes={"BATCH_ITEMS_MAX": 1},
    )
    roomy = {"commit_bytes_waiting_max": 1 << 20, "turn_waiters_max": 1024}
    interval_s, segments_max = rng.choice([(0.2, 100), (0.2, 100), (0.005, 2)])
    return plan.with_settings(
        roomy, log_segment_bytes=300, log_segments_max=segments_max, flush_interval_s=interval_s
    )


def _rot(rng: random.Random, plan: Plan) -> Plan:
    """Nothing fails, so that a bit may rot at the end and everything else is as it was written."""
    lives = [Life(rng.choice(CRASH), life.after_s) for life in plan.lives]
    return replace(plan, lives=lives, rot=1.0)


def _failing_log(rng: random.Random, plan: Plan) -> Plan:
    """A record cannot be written or synced, and soon after the power goes; or a stop follows.

    Soon, because the first checkpoint takes the record out of the log and out of danger. A stop,
    because only that has to leave nothing open.
    """

    def life() -> Life:
        nth = rng.randint(2, 10)
        failing = Moment(rng.choice(["write", "sync"]), "*.log", nth)
        cut = Moment("sync", "*.log", nth + rng.randint(1, 6))
        return Life("power", 1.0, failing_in=failing, crash_in=cut, keeps=_keeps(rng))

    def stopped() -> Life:
        segment = Moment("write", "*.log", 1)  # its head
        lock = Moment("write", "LOCK", 1)
        return Life("stop", rng.uniform(0.1, 0.5), failing_in=rng.choice([segment, lock]))

    plan = replace(
        plan,
        lives=rng.choice([[life(), life()], [stopped(), stopped()]]),
        deeds=[rng.randint(6, 10) for _ in plan.deeds],
        habits=Habits(bodies=(10, 200, 600)),
    )
    return plan.with_settings(flush_interval_s=0.2, log_segment_bytes=rng.choice([2000, 8000]))


def _failing_files(rng: random.Random, plan: Plan) -> Plan:
    """The files of a stream cannot be synced, and the store is opened anew; then the power goes.

    A sync that fails marks the pages clean: only a power cut tells what was never written, and
    only if it was more than the last sector, which the next event writes again.
    """
    failing = Moment("sync", rng.choice(["events.jsonl", "events.idx"]), rng.randint(1, 3))
    plan = replace(
        plan,
        lives=[Life("power", rng.uniform(0.2, 1.0), failing_in=failing, keeps=_keeps(rng))],
        deeds=[rng.randint(8, 12) for _ in plan.deeds],
        habits=Habits(bodies=(200, 600)),
    )
    interval_s = rng.choice([0.005, 0.03])
    return plan.with_settings(flush_interval_s=interval_s, log_segment_bytes=600)


def _checkpoint(rng: random.Random, plan: Plan) -> Plan:
    """A crash just after a checkpoint, while the log is cut and much goes on being written."""

    def life() -> Life:
        place = rng.choice([("unlink", "*.log"), ("unlink", "*.log"), ("rename", "checkpoint")])
        moment = Moment(*place, rng.randint(1, 5), later=rng.randint(0, 6))
        return Life(rng.choice(CRASH), 1.0, crash_in=moment, power_too=rng.random() < 0.3)

    plan = replace(
        plan,
        lives=[life() for _ in range(rng.randint(1, 2))],
        deeds=[rng.randint(5, 9) for _ in range(3)],
        pages=1,
        habits=Habits({"side by side": 6}, (10, 200, 600), (0.05, 20.0), rest_s=0.003),
        pauses=rng.choice([0.6, 1.0]),
    )
    return plan.with_settings(
        flush_interval_s=rng.choice([0.005, 0.03]),
        log_segment_bytes=600,
        log_segments_max=10,
        sync_files_max=1000,
    )


def _endings(rng: random.Random, plan: Plan) -> Plan:
    """Streams end and begin again all the time, and a crash finds that in the log alone."""

    def life() -> Life:
        moment = Moment("write", "*.log", rng.randint(2, 20))
        return Life(rng.choice(CRASH), 1.0, crash_in=moment)

    plan = replace(
        plan,
        lives=[life() for _ in range(rng.randint(1, 3))],
        streams=["d1", "c1"],
        listening=["d1", "c1"],
        deeds=[rng.randint(6, 10) for _ in range(2)],
        habits=Habits({"delete": 8, "close": 3}),
    )
    return plan.with_settings(flush_interval_s=rng.choice([0.03, 0.2]), log_segment_bytes=8000)


def _crowd(rng: random.Random, plan: Plan) -> Plan:
    """More streams than may be awake, nobody who keeps them so, and a disk that takes its time."""
    plan = replace(
        plan,
        lives=plan.lives[:1],
        streams=STREAMS,
        deeds=[rng.randint(4, 7) for _ in range(3)],
        listening=[],
        pages=1,
        pauses=1.0,
        habits=Habits({"side by side": 8, "without id": 12}),
    )
    return plan.with_settings({"cells_max": rng.choice([1, 2])})


def _audience(rng: random.Random, plan: Plan) -> Plan:
    """A stream with several who listen, one served after the other while more becomes durable.

    And then silence: the next event would bring what was forgotten.
    """
    streams = plan.streams[:1]
    deeds = {"side by side": 12, "twice at once": 4, "append": 4, "without id": 1, "again": 0}
    plan = replace(
        plan,
        lives=plan.lives[:1] if rng.random() < 0.3 else [],
        streams=streams,
        deeds=[rng.randint(3, 6) for _ in range(rng.randint(1, 2))],
        listening=list(streams) * rng.randint(4, 6),
        pages=0,
        pauses=0.6,
        passes_s=0.0005,
        habits=Habits(deeds, bodies=(0, 10), patience_s=(20.0,), silences=0.5),
        sizes={"READERS_A_PASS": 1, "BATCH_ITEMS_MAX": 1},
    )
    roomy = {"commit_bytes_waiting_max": 1 << 20, "turn_waiters_max": 1024}
    return plan.with_settings(roomy, flush_interval_s=0.2)


PROFILES: dict[str, Callable[[random.Random, Plan], Plan]] = {
    "any": lambda _, plan: plan,
    "first names": _first_names,
    "torn tail": _torn_tail,
    "full disk": _full_disk,
    "no room": _no_room,
    "failing log": _failing_log,
    "failing files": _failing_files,
    "checkpoint": _checkpoint,
    "endings": _endings,
    "crowd": _crowd,
    "audience": _audience,
    "rot": _rot,
}
