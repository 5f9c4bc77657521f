"""`eventspine metrics` on a root opened in this process."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from eventspine.cli.main import cli
from eventspine.cli.metrics_picture import HEIGHT, draw, write_png
from eventspine.contracts.errors import ExtraMissing

RANGE = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T00:05:00Z", "--step", "60")


class Shell:
    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, command: str, *arguments: str) -> Result:
        words = ["metrics", command, "--root", str(self.root), *arguments]
        return CliRunner().invoke(cli, words, catch_exceptions=False)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path / "var")
    assert CliRunner().invoke(cli, ["init", "--root", str(shell.root)]).exit_code == 0
    return shell


def values(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.stderr
    return [orjson.loads(line)["value"] for line in result.stdout.splitlines()]


def test_points_in_windows_and_pictures_out(shell: Shell, tmp_path: Path) -> None:
    for n, value in enumerate(["1", "4.5", "-2", "9007199254740993"]):
        at = f"2026-01-01T00:0{n}:00Z"
        tag = f"n={n % 2},"
        done = shell("ingest", "m $", "--tag", tag, "--ts", at, "--source", "cli", "--", value)
        assert done.exit_code == 0, done.stderr
    assert values(shell("query", "m $")) == [1, 4.5, -2, 9007199254740993]
    assert values(shell("query", "m $", "--tag", "n=0,", "--limit", "1")) == [-2]
    assert values(shell("latest", "m $")) == [9007199254740993]
    assert values(shell("aggregate", "m $", "--agg", "max", *RANGE[:4], "--step", "120")) == [
        4.5,
        9007199254740993,
    ]
    picture = shell("plot", "m $", *RANGE)
    assert "m $  avg  every 60 s" in picture.stdout
    assert "█" in picture.stdout
    png = tmp_path / "m.png"
    assert shell("plot", "m $", *RANGE, "--png", str(png)).exit_code == 0
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert png.stat().st_size > 5_000


def test_groups_and_fewer_points(shell: Shell, tmp_path: Path) -> None:
    for n in range(8):
        at = f"2026-01-01T00:0{n // 2}:00Z"
        done = shell("ingest", "m", "--tag", f"host={n % 2}", "--ts", at, "--", str(n))
        assert done.exit_code == 0, done.stderr
    grouped = shell("aggregate", "m", "--agg", "sum", "--group-by", "host", *RANGE)
    lines = [orjson.loads(line) for line in grouped.stdout.splitlines()]
    assert [(line["tags"]["host"], line["value"]) for line in lines] == [
        *[("0", n) for n in (0, 2, 4, 6)],
        *[("1", n) for n in (1, 3, 5, 7)],
    ]
    drawn = shell("plot", "m", "--group-by", "host", *RANGE).stdout
    assert drawn.index("host=0") < drawn.index("host=1")
    assert len(drawn.splitlines()) == 2 * HEIGHT + 4
    png = tmp_path / "m.png"
    assert shell("plot", "m", "--group-by", "host", *RANGE, "--png", str(png)).exit_code == 0
    assert png.stat().st_size > 5_000
    assert values(shell("query", "m", "--downsample", "3", *RANGE[:4])) == [0, 1, 7]
    points = tmp_path / "points.png"
    plotted = shell("plot", "m", *RANGE[:4], "--downsample", "5", "--png", str(points))
    assert "5 points in" in plotted.stderr
    assert points.stat().st_size > 5_000
    assert shell("plot", "m", "--downsample", "5").exit_code == 2


def test_what_is_wrong_is_said(shell: Shell) -> None:
    for words in (
        ("ingest", "m", "x"),
        ("ingest", "m", "nan"),
        ("ingest", "m", "1", "--tag", "a"),
        ("latest", "m"),
        ("aggregate", "m", "--agg", "median"),
        ("plot", "m", "--step", "x"),
    ):
        failed = shell(*words)
        assert failed.exit_code in (1, 2), words
        assert "Traceback" not in failed.output
    nothing = shell("plot", "m", *RANGE)
    assert "no points" in nothing.stdout


def found(many: Sequence[float | None]) -> dict[str, Any]:
    return {
        "metric_name": "m",
        "aggregate": "avg",
        "step_s": 60,
        "start": "2026-01-01T00:00:00.000Z",
        "end": "2026-01-01T01:00:00.000Z",
        "windows": [{"start": "2026-01-01T00:00:00.000Z", "value": one} for one in many],
    }


def columns(many: Sequence[float | None], width: int) -> list[str]:
    """The columns of a picture, from the bottom up."""
    rows = [line.partition("┤")[2] for line in draw(found(many), width).splitlines()[1:-1]]
    assert len(rows) == HEIGHT
    return ["".join(column) for column in zip(*reversed(rows), strict=True)]


def test_a_column_is_as_high_as_its_value() -> None:
    drawn = columns([0, 1, 2, 4, None, 8], 30)
    assert [column.count("█") for column in drawn] == [0, 1, 3, 6, 0, 12]
    assert columns([5.0], 30) == ["█" * HEIGHT]
    assert columns([0.0, 0.0], 30) == [" " * HEIGHT] * 2


def test_a_peak_is_seen_however_many_windows_there_are() -> None:
    drawn = columns([1.0] * 5_000 + [100.0] + [1.0] * 5_000, 60)
    assert len(drawn) <= 48
    (high,) = [column for column in drawn if column[-1] != " "]
    assert "│" in high


def test_without_matplotlib_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExtraMissing, match=r"eventspine\[metrics\]"):
        write_png(found([1.0]), tmp_path / "x.png")
