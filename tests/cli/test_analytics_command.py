"""`eventspine analytics` on a root opened in this process."""

from __future__ import annotations

from pathlib import Path

import orjson
from click.testing import CliRunner, Result

from eventspine.cli.main import cli


def test_events_are_ingested_and_asked_about(tmp_path: Path) -> None:
    def shell(*arguments: str, stdin: str | None = None) -> Result:
        words = [*arguments, "--root", str(tmp_path / "var")]
        return CliRunner().invoke(cli, words, input=stdin, catch_exceptions=False)

    assert shell("init").exit_code == 0
    lines = "".join(
        f'{{"event":"view","user_id":"u{n % 4}","properties":{{"path":"/{n % 2}","new":true}}}}\n'
        for n in range(2500)
    )
    file = tmp_path / "events.ndjson"
    file.write_text(f"\n{lines}")
    done = shell("analytics", "ingest", str(file), "--key", "first")
    assert (done.exit_code, done.stderr) == (0, "2500 events in events\n")
    again = shell("analytics", "ingest", str(file), "--key", "first", "--batch", "700")
    assert again.stderr == "2500 events in events (2500 were there already)\n"
    one = shell("analytics", "ingest", stdin='{"event":"buy","user_id":"u1"}')
    assert one.stderr == "1 events in events\n"
    asked = '{"group_by":["path","new"],"measures":[{"measure":"count"},{"measure":"users"}]}'
    table = shell("analytics", "query", asked).stdout
    assert [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines()[3:-1]
    ] == [
        ["/0", "true", "1,250", "2"],
        ["/1", "true", "1,250", "2"],
        ["", "", "1", "1"],
    ]
    answer = orjson.loads(shell("analytics", "query", "-", "--json", stdin=asked).stdout)
    assert answer["rows"][2] == [None, None, 1, 1]
    few = shell("analytics", "query", '{"group_by":["path"],"limit":1}')
    assert few.stderr == "there are more than these 1 rows; state a larger limit\n"
    steps = '{"steps":[{"event":"view"},{"event":"buy"}]}'
    rows = orjson.loads(shell("analytics", "funnel", steps, "--json").stdout)["rows"]
    assert [row[2] for row in rows] == [4, 1]
    back = '{"begin":{"event":"view"},"back":{"event":"buy"},"periods":1}'
    assert "users" in shell("analytics", "retention", back).stdout
    owed = '{"touch":{"event":"view"},"conversion":{"event":"buy"},"by":"path"}'
    touched = orjson.loads(shell("analytics", "attribution", owed, "--json").stdout)
    assert touched["rows"] == [["/1", 1]]
    other = shell("analytics", "query", "{}", "--dataset", "other/1", "--json")
    assert orjson.loads(other.stdout)["rows"] == [[0]]
    bad = shell("analytics", "ingest", "--batch", "1", stdin='{"event":"x"}\n{"event":5}\n')
    assert bad.exit_code == 1
    assert bad.stderr.startswith("error: line 2: ")
    assert "; 1 events are in\nremedy: " in bad.stderr
    for wrong in (shell("analytics", "query", "{"), shell("analytics", "query", '{"sql":1}')):
        assert wrong.exit_code == 1
        assert wrong.stderr.startswith("error: ")
        assert "remedy: " in wrong.stderr
