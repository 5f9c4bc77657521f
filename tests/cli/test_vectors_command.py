"""`eventspine vectors` on a root opened in this process."""

from __future__ import annotations

from pathlib import Path

import orjson
from click.testing import CliRunner, Result

from eventspine.cli.main import cli


def test_vectors_are_written_and_found(tmp_path: Path) -> None:
    def shell(*arguments: str, stdin: str | None = None) -> Result:
        words = [*arguments, "--root", str(tmp_path / "var")]
        return CliRunner().invoke(cli, words, input=stdin, catch_exceptions=False)

    assert shell("init").exit_code == 0
    made = orjson.loads(shell("vectors", "create", "docs", "2", "--metric", "l2").stdout)
    assert (made["dimensions"], made["metric"], made["count"]) == (2, "l2", 0)
    lines = "".join(
        f'{{"id":"{n}","vector":[{n},0],"metadata":{{"n":{n}}}}}\n' for n in range(1001)
    )
    done = shell("vectors", "upsert", "docs", stdin=f"\n{lines}")
    assert (done.exit_code, done.stderr) == (0, "1001 points in docs\n")
    assert shell("vectors", "upsert", "docs", '{"id":"x","vector":[7,1]}').exit_code == 0
    assert shell("vectors", "count", "docs").stdout == "1002\n"
    filtered = shell("vectors", "search", "docs", "[7,0]", "-k", "2", "--filter", '{"n":{"gt":7}}')
    assert [orjson.loads(line)["id"] for line in filtered.stdout.splitlines()] == ["8", "9"]
    plain = shell("vectors", "search", "docs", "[7,0]", "-k", "1")
    assert orjson.loads(plain.stdout)["distance"] == 0
    exact = shell("vectors", "search", "docs", "[7,0]", "-k", "1", "--exact")
    assert (exact.stdout, exact.stderr) == (plain.stdout, "")
    status = orjson.loads(shell("vectors", "index", "docs", "--rebuild").stdout)
    assert (status["state"], status["behind"]) == ("none", 1002)
    for wrong in (
        shell("vectors", "index", "none"),
        shell("vectors", "search", "docs", "7,0"),
        shell("vectors", "search", "none", "[7,0]"),
        shell("vectors", "upsert", "docs", stdin="{"),
        shell("vectors", "upsert", "docs", '{"id":"x","vector":[7]}'),
    ):
        assert wrong.exit_code == 1
        assert wrong.stderr.startswith("error: ")
        assert "remedy: " in wrong.stderr
    assert shell("vectors", "count", "docs").stdout == "1002\n"
