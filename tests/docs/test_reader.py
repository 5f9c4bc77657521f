"""How a page is followed, on pages made up for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.reader import PageWrong, free_port, reading
from tests.docs.scenario import steps


def follow(folder: Path, text: str) -> None:
    folder = folder / "reader"
    folder.mkdir()
    with reading(folder, free_port()) as reader:
        for step in steps(text):
            reader.take(step)


def test_folder_and_variables_last_from_step_to_step(tmp_path: Path) -> None:
    follow(
        tmp_path,
        """
```console
$ mkdir inner && cd inner
$ WORD=kept
$ echo $WORD in $(basename $PWD)
kept in inner
```
```sh
touch made
```
```python
from pathlib import Path
assert Path("made").exists()
```
""",
    )
    assert (tmp_path / "reader/inner/made").exists()


def test_other_output_than_the_page_shows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PageWrong, match=r"line 2: echo two\nthe page says:\none\n"):
        follow(tmp_path, "```console\n$ echo two\none\n```\n")


def test_another_exit_status_than_the_page_shows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PageWrong, match="exit 1, not 0"):
        follow(tmp_path, "```console\n$ false\n```\n")


def test_a_command_that_ends_the_shell_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PageWrong, match="the shell itself ended"):
        follow(tmp_path, "```console\n$ exit 0\n```\n")


def test_an_error_can_be_what_the_page_shows(tmp_path: Path) -> None:
    follow(tmp_path, "<!-- exit: 4 -->\n```sh\nexit 4\n```\n")


SERVER = """
<!-- background: ready=http://127.0.0.1:8080/ -->
```console
$ python -u -m http.server --bind 127.0.0.1 8080
Serving HTTP on <any> port 8080 <any>
```
"""


@pytest.mark.slow
def test_a_server_runs_until_the_page_ends(tmp_path: Path) -> None:
    follow(
        tmp_path,
        SERVER
        + "```python\nimport urllib.request as u\nu.urlopen('http://127.0.0.1:8080/').close()\n```\n"
        + "```console\n$ echo $! > pid\n```\n",
    )
    pid = int((tmp_path / "reader/pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
def test_a_server_that_ends_at_once_is_an_error(tmp_path: Path) -> None:
    text = "<!-- background: ready=http://127.0.0.1:8080/ -->\n```sh\necho gone; exit 7\n```\n"
    with pytest.raises(PageWrong, match=r"ended before it was ready(.|\n)*gone"):
        follow(tmp_path, text)
