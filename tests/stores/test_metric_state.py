"""Metrics beside a list of points: any program of ingests, windows, and replaying the records."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventspine.actors.states import metrics as state_module
from eventspine.actors.states import series as series_module
from eventspine.actors.states.metrics import MetricRecord, Metrics
from eventspine.actors.states.resolution import DAY, HOUR, MINUTE, SPANS, resolution
from eventspine.actors.states.rollups import growth
from eventspine.contracts.errors import InvalidRequest, TooLarge, TooManySeries
from eventspine.contracts.metrics import TIERS, Aggregate, Question, Tier, iso, unix_ms
from tests.inner import examples

T0 = unix_ms("2026-01-31T23:50:00Z", "ts")
NAMES = st.sampled_from(["a", "b/é"])
TAGS = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"]))
VALUES = st.integers(-1000, 1000)
SERIES_MAX = 6
MAX = 1_000_000


def take(state: Metrics, record: MetricRecord, sequence: int) -> bytes:
    line = msgspec.json.encode(record)
    state.apply(msgspec.json.decode(line, type=Metrics.record), sequence)
    return line


def ask(
    state: Metrics,
    aggregate: str,
    *,
    start: int = T0,
    end: int = T0 + DAY,
    step: int | None = None,
    tier: Tier | None = None,
    **more: Any,
) -> dict[str, Any]:
    tags, fill = more.get("tags", {}), more.get("fill", "none")
    question = Question(start, end, step, Aggregate.of(aggregate), tags, tier, fill)
    found = state.windows(more.get("name", "a"), question, MAX, MAX).windows()
    return {window.start: window.value for window in found.windows}


class MetricsAndList(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state = Metrics()
        self.stored: list[bytes] = []
        self.points: list[MetricRecord] = []

    def keys(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        return {(one.metric_name, frozenset(one.tags.items())) for one in self.points}

    @rule(
        points=st.lists(st.tuples(NAMES, VALUES, TAGS, st.integers(0, 3 * HOUR)), max_size=5),
    )
    def ingest(self, points: list[tuple[str, int, dict[str, str], int]]) -> None:
        records = [MetricRecord(n, v, iso(T0 + ms), tags, "s") for n, v, tags, ms in points]
        keys = self.keys() | {(n, frozenset(tags.items())) for n, _, tags, _ in points}
        if len(keys) > max(SERIES_MAX, len(self.keys())):
            with pytest.raises(TooManySeries) as refused:
                self.state.ingest(records, SERIES_MAX)
            assert refused.value.fields["actual"] == len(keys)
            return
        decision = self.state.ingest(records, SERIES_MAX)
        assert decision.records == records
        assert [point.value for point in decision.answer] == [v for _, v, _, _ in points]
        for record in records:
            self.points.append(record)
            self.stored.append(take(self.state, record, len(self.points)))

    @rule(size=st.integers(1, 40))
    def replayed(self, size: int) -> None:
        """In slices, as a journal is read."""
        self.state = Metrics()
        for at in range(0, len(self.stored), size):
            lines = self.stored[at : at + size]
            records = [msgspec.json.decode(line, type=Metrics.record) for line in lines]
            self.state.apply_all(records, at + 1)

    def model(self, name: str, tags: dict[str, str]) -> list[tuple[int, int, Any]]:
        """Time, number and value of the points that match, in the order of time."""
        return sorted(
            (unix_ms(one.ts, "ts"), number, one.value)
            for number, one in enumerate(self.points)
            if one.metric_name == name and tags.items() <= one.tags.items()
        )

    @invariant()
    def newest_and_points_agree(self) -> None:
        for name in ("a", "b/é", "none"):
            for tags in ({}, {"x": "1"}):
                expected = self.model(name, tags)
                found = self.state.points(name, tags, 0, 1 << 60).newest(MAX)
                assert [(unix_ms(p.ts, ""), p.value) for p in found] == [
                    (ms, value) for ms, _, value in expected
                ]
                latest = self.state.latest(name, tags)
                assert (latest and latest.value) == (expected[-1][2] if expected else None)
        assert len(self.state.latest_of_each()) == self.state.series_count == len(self.keys())

    @rule(
        name=NAMES,
        tags=TAGS,
        start=st.integers(0, 3 * HOUR),
        length=st.integers(1, 3 * HOUR),
        step=st.sampled_from([7_000, MINUTE, 5 * MINUTE, HOUR, 2 * HOUR, DAY]),
        tier=st.sampled_from([None, *TIERS]),
    )
    def windows(
        self, name: str, tags: dict[str, str], start: int, length: int, step: int, tier: Tier | None
    ) -> None:
        more: dict[str, Any] = {"name": name, "tags": tags, "step": step, "tier": tier}
        more |= {"start": T0 + start, "end": T0 + start + length}
        if tier is not None and step % SPANS[tier]:
            with pytest.raises(InvalidRequest):
                ask(self.state, "sum", **more)
            return
        first = (T0 + start) // step * step
        last = -(-(T0 + start + length) // step) * step
        expected: dict[str, list[Any]] = {}
        for ms, _, value in self.model(name, tags):
            if first <= ms < last:
                expected.setdefault(iso(ms // step * step), []).append(value)
        for aggregate, of in (
            ("sum", sum),
            ("count", len),
            ("min", min),
            ("max", max),
            ("avg", lambda values: sum(values) / len(values)),
            ("last", lambda values: values[-1]),
            ("p50", lambda values: sorted(values)[(len(values) + 1) // 2 - 1]),
            ("p100", max),
        ):
            found = ask(self.state, aggregate, **more)
            assert found == {at: of(values) for at, values in expected.items()}, aggregate


TestMetricsAndList = MetricsAndList.TestCase
TestMetricsAndList.settings = settings(
    max_examples=examples(40), stateful_step_count=15, deadline=None
)


@settings(deadline=None, max_examples=examples(60))
@given(
    st.lists(st.tuples(st.integers(1, 200_000), st.integers(0, 50)), min_size=1, max_size=40),
    st.sampled_from([MINUTE, 5 * MINUTE, HOUR]),
    st.sampled_from(["raw", "1m"]),
)
def test_the_growth_of_a_counter_is_all_in_its_rates(
    steps: list[tuple[int, int]], step: int, tier: Tier
) -> None:
    """In any tier, with any step: rate times seconds is what the counter grew, resets included."""
    state, ms, expected, before = Metrics(), T0, 0, None
    for sequence, (wait, value) in enumerate(steps, 1):
        ms += wait
        take(state, MetricRecord("a", value, iso(ms)), sequence)
        if before is not None:
            expected += value - before if value >= before else value
        before = value
    found = ask(state, "rate", step=step, tier=tier)
    assert sum(found.values()) * step / 1000 == pytest.approx(expected)


def test_rates_of_several_counters_add_up_and_go_over_windows() -> None:
    state = Metrics()
    for n in range(4):
        for tag, each in (("1", 60), ("2", 6)):
            take(state, MetricRecord("a", n * each, iso(T0 + n * MINUTE), {"x": tag}), 2 * n + 1)
    rates = list(ask(state, "rate", step=MINUTE).values())
    assert rates == pytest.approx([0, 1.1, 1.1, 1.1])
    only = list(ask(state, "rate", step=MINUTE, tags={"x": "1"}, start=T0 + MINUTE).values())
    assert only == pytest.approx([1, 1, 1]), "what is before the range is counted on from"
    assert growth(10, 3) == 3
    assert growth(5, -2) == 0


def test_fill() -> None:
    state = Metrics()
    for n in (1, 3):
        take(state, MetricRecord("a", n, iso(T0 + n * MINUTE)), n)
    span: dict[str, Any] = {"step": MINUTE, "end": T0 + 5 * MINUTE}
    for fill, expected in (
        ("none", [1, 3]),
        ("null", [None, 1, None, 3, None]),
        ("zero", [0, 1, 0, 3, 0]),
        ("previous", [None, 1, 1, 3, 3]),
    ):
        assert list(ask(state, "last", fill=fill, **span).values()) == expected


def test_a_tier_lets_its_oldest_go_and_coarser_ones_still_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(series_module.BUCKETS_KEPT, "1m", 10)
    state = Metrics()
    for n in range(60):
        take(state, MetricRecord("a", 1, iso(T0 + n * MINUTE)), n + 1)
    take(state, MetricRecord("a", 1, iso(T0)), 61)  # late, and too late for minutes
    end = T0 + 60 * MINUTE
    question = Question(T0, end, MINUTE, Aggregate("sum"), {}, None, "none")
    found = state.windows("a", question, MAX, MAX).windows()
    assert (len(found.windows), found.tier, found.complete) == (10, "1m", False)
    assert sum(window.value or 0 for window in found.windows) == 10
    for minute, complete in ((49, False), (50, True)):
        later = question._replace(start_ms=T0 + minute * MINUTE)
        assert state.windows("a", later, MAX, MAX).windows().complete == complete
    hours = state.windows("a", question._replace(step_ms=HOUR), MAX, MAX).windows()
    assert (hours.tier, hours.complete) == ("1h", True)
    assert sum(window.value or 0 for window in hours.windows) == 61
    chosen = state.windows("a", question._replace(step_ms=None), MAX, MAX).windows()
    assert chosen.complete, "without a step, one whose tier has the whole range"
    raw = state.windows("a", question._replace(tier="raw"), MAX, MAX).windows()
    assert sum(window.value or 0 for window in raw.windows) == 61


def test_points_are_bounded_and_a_busy_series_leaves_the_others_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_module, "RAW_KEPT", 50)
    monkeypatch.setattr(state_module, "RAW_KEPT_EACH", 3)
    state = Metrics()
    for n in range(5):
        take(state, MetricRecord("quiet", n, iso(T0 + n)), n + 1)
    for n in range(500):
        take(state, MetricRecord("a", n, iso(T0 + n)), n + 6)
    kept = state.points("a", {}, 0, 1 << 60).newest(MAX)
    assert 47 <= len(kept) <= 53
    assert [point.value for point in kept] == list(range(500))[-len(kept) :]
    assert [p.value for p in state.points("quiet", {}, 0, 1 << 60).newest(MAX)] == [2, 3, 4]
    raw = state.windows(
        "a", Question(T0, T0 + 500, 1000, Aggregate("count"), {}, "raw", "none"), MAX, MAX
    ).windows()
    assert not raw.complete
    assert ask(state, "count", step=DAY, start=T0) == {iso(T0 // DAY * DAY): 500}


def test_sums_of_integers_are_exact_until_json_cannot_say_them() -> None:
    state = Metrics()
    for n in range(3):
        take(state, MetricRecord("a", 2**61 + 1, iso(T0)), n + 1)
    assert list(ask(state, "sum", step=DAY).values()) == [3 * (2**61 + 1)]
    for n in range(9):
        take(state, MetricRecord("a", 2**63 - 1, iso(T0)), n + 4)
    (total,) = ask(state, "sum", step=DAY).values()
    assert isinstance(total, float)


@pytest.mark.parametrize(
    ("length", "tier", "step_s"),
    [
        (5 * MINUTE, "raw", 1),
        (HOUR, "raw", 15),
        (3 * HOUR, "1m", 60),
        (DAY, "1m", 300),
        (10 * DAY, "1h", 3600),
        (200 * DAY, "1d", 86_400),
        (3000 * DAY, "1d", 30 * 86_400),
    ],
)
def test_the_tier_suits_the_range(length: int, tier: str, step_s: int) -> None:
    question = Question(T0, T0 + length, None, Aggregate("avg"), {})
    chosen = resolution(question, lambda tier: 0, MAX)
    assert (chosen.tier, chosen.step_ms) == (tier, step_s * 1000)
    assert chosen.start_ms <= T0 < T0 + length <= chosen.end_ms


def test_a_question_that_cannot_be_answered_is_refused() -> None:
    question = Question(T0, T0, MINUTE, Aggregate("avg"), {})
    cases: list[tuple[int, int, Tier | None, type[Exception]]] = [
        (T0, MINUTE, None, InvalidRequest),
        (T0 - 1, MINUTE, None, InvalidRequest),
        (T0 + 1, 0, None, InvalidRequest),
        (T0 + 1, 1000, "1m", InvalidRequest),
        (T0 + 12 * MINUTE, MINUTE, None, TooLarge),
    ]
    for end, step, tier, error in cases:
        with pytest.raises(error):
            resolution(question._replace(end_ms=end, step_ms=step, tier=tier), lambda tier: 0, 11)
    for wrong in ("", "median", "p", "p101", "p-1", "pNaN", "p9²", "SUM"):
        with pytest.raises(InvalidRequest):
            Aggregate.of(wrong)
    assert Aggregate.of("p99.9").rank == pytest.approx(0.999)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), max_size=40),
    *(st.integers(0, 30), st.integers(0, 31), st.integers(1, 50)),
)
def test_the_newest_points_of_several_series(
    points: list[tuple[str, int]], start: int, length: int, limit: int
) -> None:
    state = Metrics()
    for n, (tag, ms) in enumerate(points):
        take(state, MetricRecord("a", n, iso(T0 + ms), {"x": tag}), n + 1)
    end = start + length
    expected = sorted((ms, n) for n, (_, ms) in enumerate(points) if start <= ms < end)
    found = state.points("a", {}, T0 + start, T0 + end).newest(limit)
    assert [point.value for point in found] == [n for _, n in expected[-limit:]]


def test_a_view_is_of_one_moment() -> None:
    """What comes while it is worked out on a thread is not in it, in no tier."""
    state = Metrics()
    for n in range(200):
        take(state, MetricRecord("a", n, iso(T0 + n)), n + 1)
    question = Question(T0, T0 + DAY, DAY, Aggregate.of("p50"), {}, None, "none")
    views = [
        state.windows("a", question._replace(step_ms=max(SPANS[tier], MINUTE), tier=tier), MAX, MAX)
        for tier in TIERS
    ]
    raw, before = state.points("a", {}, 0, 1 << 60), [view.windows().windows for view in views]
    state.apply_all([MetricRecord("a", -n, iso(T0 + n)) for n in range(1000)], 201)
    take(state, MetricRecord("a", -1, iso(T0)), 1201)
    assert [view.windows().windows for view in views] == before
    assert len(raw.newest(MAX)) == 200
    again = state.windows("a", question, MAX, MAX).windows().windows
    assert [window.count for window in again] == [1201]


def test_groups_are_what_asking_for_each_answers() -> None:
    state = Metrics()
    for n in range(60):
        tags = {"x": str(n % 3)} | ({"y": "1"} if n % 2 else {})
        take(state, MetricRecord("a", n, iso(T0 + n * MINUTE), tags), n + 1)
    for aggregate in ("sum", "p50", "rate", "count"):
        question = Question(
            T0, T0 + 2 * HOUR, HOUR, Aggregate.of(aggregate), {}, None, "none", ("x", "y")
        )
        grouped = state.windows("a", question, MAX, MAX).grouped()
        assert [tuple(one.tags.values()) for one in grouped.groups] == [
            (x, y) for x in "012" for y in ("", "1")
        ]
        for one in grouped.groups:
            if one.tags["y"]:
                alone = question._replace(tags=one.tags, group_by=())
                assert one.windows == state.windows("a", alone, MAX, MAX).windows().windows
    assert sum(w.value or 0 for g in grouped.groups for w in g.windows) == 60
    with pytest.raises(TooLarge):
        state.windows("a", question, 11, MAX).grouped()
    nothing = state.windows("none", question, MAX, MAX).grouped()
    assert nothing.groups == []


def test_points_that_come_late_are_where_their_time_is() -> None:
    state = Metrics()
    for sequence, (second, value) in enumerate([(90, 9), (30, 5), (70, 7), (10, 2), (95, 10)], 1):
        take(state, MetricRecord("a", value, iso(T0 + second * 1000)), sequence)
    ranged = state.points("a", {}, T0 + 60_000, T0 + 92_000).newest(MAX)
    assert [point.value for point in ranged] == [7, 9]
    assert [point.value for point in state.points("a", {}, 0, 1 << 60).newest(2)] == [9, 10]
    for tier in ("raw", "1m"):
        sums = ask(state, "sum", step=MINUTE, tier=tier, start=T0 + 60_000)
        assert list(sums.values()) == [26]
        grown = [rate * 60 for rate in ask(state, "rate", step=MINUTE, tier=tier).values()]
        assert grown == pytest.approx([3, 5]), "2, 5; then 7, 9, 10"
