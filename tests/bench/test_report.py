"""Medians, ratios and targets, and the page that tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import page, runner, targets
from bench.chart import chart
from bench.list_after import THEIRS as XRANGE
from bench.long_stream import bytes_of, xrange_bytes
from bench.peers import redis
from bench.result import Result
from bench.stage import EVENT_BYTES, Contender, Missing, Options, Row, Stage, rate

MACHINE = {
    "when": "now",
    "minutes": 1.0,
    "cores": 2,
    "kernel": "6",
    "python": "3",
    "load_average": (0.0, 0.0, 0.0),
}


def result_of(key: str, **rows: list[float]) -> Result:
    """A rate: so many a second in each round, p50 and p99 the same."""
    figures: dict[str, list[tuple[float, ...]]] = {
        name: [(each, 1.0, 2.0, 0.0, 0.0) for each in found] for name, found in rows.items()
    }
    return Result(key, f"title of {key}", rate("x/s"), rows=list(rows), figures=figures)


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    result = result_of("k", ours=[10, 100, 30], theirs=[10, 10, 10])
    assert result.ratio("theirs") == 3.0
    assert result.value("ours", "per_s") == 30
    assert result.value("", "p99_ms") == 2.0


@pytest.mark.parametrize(
    ("ours", "words"), [(32, "reached: 3.20 of 3"), (8.4, "missed: 0.84 of 3")]
)
def test_a_target_is_told_in_the_row_it_is_about(ours: float, words: str) -> None:
    result = result_of("embedded_append/64", us=[ours], **{redis.NAME: [10.0]})
    text = page.markdown({result.key: result}, MACHINE, 1)
    row = next(line for line in text.splitlines() if line.startswith(f"| {redis.NAME} |"))
    assert row.endswith(f"| {words} |")


def test_at_most_is_reached_from_below() -> None:
    target = targets.TARGETS[0]._replace(wanted=50, at_most=True)
    assert targets.Verdict(target, 49.0).reached
    assert not targets.Verdict(target, 51.0).reached
    assert str(targets.Verdict(target, 51.0)) == "missed: 51.00 of at most 50"


def test_every_target_is_about_a_figure_of_a_whole_run() -> None:
    everything = runner.items(Stage(Path(), Options()))
    keys = {item.key for items in everything.values() for item in items}
    assert {target.key for target in targets.TARGETS} <= keys


def test_every_target_names_a_row_of_its_figure(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Options())
    everything = runner.items(stage)
    items = {item.key: item for found in everything.values() for item in found}
    for target in targets.TARGETS:
        rows = [row.name for row in items[target.key].contenders(stage)]
        assert target.row in {"", targets.LAST, *rows}, target.words


def test_a_target_without_its_figure_is_called_not_measured() -> None:
    result = result_of("full_read", us=[2.0], **{XRANGE: [1.0]})
    text = page.markdown({result.key: result}, MACHINE, 1)
    assert "| a full read as a multiple of Redis XRANGE | 2.00 | 1 | reached |" in text
    others = [one for one in targets.TARGETS if not page.part_of(one.key)]
    assert text.count("not measured |") == len(others) - 1


def test_who_is_missing_or_fails_has_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    def fail() -> tuple[float, ...]:
        raise RuntimeError("no luck")

    rows: list[Row] = [
        Contender("us", lambda: (4.0, 1.0, 1.0, 0.0, 0.0)),
        Missing("absent", "not installed"),
        Contender("broken", fail),
        Contender("them", lambda: (2.0, 1.0, 1.0, 0.0, 0.0)),
    ]
    item = runner.Item("k", "some title", rate("x/s"), lambda _: rows)
    result = runner._run(Stage(tmp_path, Options(rounds=2)), item)
    text = page.markdown({"k": result}, MACHINE, 2)
    assert "| absent | missing: not installed |" in text
    assert "| broken | failed: no luck |" in text
    assert result.ratio("them") == 2.0
    assert len(result.figures["us"]) == 2
    assert "no luck" in runner.table(result)
    assert chart(result).count("<rect") == 3  # the ground and two bars


def test_what_people_wrote_outlives_new_figures(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# Ours\nbefore\n{}\nold\n{}\nafter\n".format(*page.marks_of("")))
    page.replace_figures(path, "new")
    new = "# Ours\nbefore\n{}\nnew\n{}\nafter\n".format(*page.marks_of(""))
    assert path.read_text() == new


def test_each_kind_has_a_part_of_its_own(tmp_path: Path) -> None:
    path, images = tmp_path / "page.md", tmp_path / page.IMAGES
    keys = ("full_read", "kinds/tables/9", "kinds/memory/9")
    page.write(path, {key: result_of(key, us=[2.0], them=[1.0]) for key in keys}, MACHINE, 1)
    first = path.read_text()
    places = [first.index(f"Title of {key}") for key in keys]
    assert places == sorted(places)
    page.write(path, {"kinds/tables/10": result_of("kinds/tables/10", us=[2.0])}, MACHINE, 1)
    second, (begin, end) = path.read_text(), page.marks_of("tables")
    assert second.partition(begin)[0] == first.partition(begin)[0]
    assert second.partition(end)[2] == first.partition(end)[2]
    assert "kinds/tables/9" not in second
    assert sorted(one.name for one in images.iterdir()) == [
        "full_read.svg",
        "kinds-memory-9.svg",
        "kinds-tables-10.svg",
    ]


def test_a_page_that_lost_its_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"# Ours\n{page.marks_of('')[0]}\nall that follows is by people\n")
    with pytest.raises(ValueError, match="has no"):
        page.replace_figures(path, "new")
    assert "by people" in path.read_text()


@pytest.mark.parametrize(("after", "count"), [(0, 1000), (95, 10), (999_000, 1000)])
def test_the_length_of_an_answer_to_xrange_is_known_beforehand(after: int, count: int) -> None:
    reply = [[b"%d-0" % n, [b"e", b"x" * EVENT_BYTES]] for n in range(after + 1, after + 1 + count)]
    assert xrange_bytes(after, count) == bytes_of(reply)
