"""How a page is read."""

from __future__ import annotations

import textwrap

import pytest

from tests.docs.scenario import PageInvalid, Step, is_open, matches, skip_reasons, steps, with_port


def page(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


def test_a_command_is_followed_by_its_output() -> None:
    assert steps(
        page("""
        Some words.

        ```console
        $ echo one
        one
        $ true
        $ printf 'a\\n\\nb\\n'
        a

        b
        ```
        """)
    ) == [
        Step("console", "echo one", 4, ("one",)),
        Step("console", "true", 6, None),
        Step("console", "printf 'a\\n\\nb\\n'", 7, ("a", "", "b")),
    ]


def test_an_open_quote_a_backslash_and_a_here_document_go_on() -> None:
    codes = [
        step.code
        for step in steps(
            page("""
        ```console
        $ curl -d '{
        >   "a": 1
        > }' \\
          http://127.0.0.1:8080/x
        {"ok": true}
        $ cat <<END
        > it's here
        > END
        it's here
        ```
        """)
        )
    ]
    assert codes == [
        "curl -d '{\n  \"a\": 1\n}' \\\n  http://127.0.0.1:8080/x",
        "cat <<END\nit's here\nEND",
    ]


def test_only_console_sh_and_python_are_run() -> None:
    languages = [
        step.language
        for step in steps(
            page("""
        ```json
        {}
        ```
        ```sh
        true
        ```
        ```
        $ not run
        ```
        - in a list

          ```python
          if True:
              print(1)
          ```
        """)
        )
    ]
    assert languages == ["sh", "python"]


def test_a_block_in_a_list_loses_its_indent() -> None:
    [step] = steps("- x\n\n  ```python\n  if True:\n      print(1)\n  ```\n")
    assert step.code == "if True:\n    print(1)"


def test_comments_steer_the_next_block_and_no_other() -> None:
    first, second, third = steps(
        page("""
        <!-- background: ready=http://127.0.0.1:8080/health -->
        ```console
        $ serve
        ```

        ```console
        $ true
        ```

        <!-- exit: 3 -->

        ```console
        $ exit-three
        ```
        """)
    )
    assert first.ready_url == "http://127.0.0.1:8080/health"
    assert (second.ready_url, second.exit_status) == (None, 0)
    assert third.exit_status == 3


def test_the_exit_status_is_the_last_commands() -> None:
    statuses = [s.exit_status for s in steps("<!-- exit: 3 -->\n```console\n$ a\n$ b\n```\n")]
    assert statuses == [0, 3]


def test_a_comment_before_prose_steers_nothing() -> None:
    [step] = steps("<!-- exit: 3 -->\nWords.\n```sh\ntrue\n```\n")
    assert step.exit_status == 0


def test_a_skipped_block_leaves_its_reason() -> None:
    text = "<!-- skip: test_make_serves runs it -->\n```sh\nmake serve\n```\n"
    assert steps(text) == []
    assert skip_reasons(text) == ["test_make_serves runs it"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<!-- behind: x -->\n```sh\n```\n", "line 1: 'behind' is none of"),
        ("<!-- background: 8080 -->\n```sh\n```\n", "line 3: background needs ready=URL"),
        ("```sh\ntrue\n", "line 1: the block is never closed"),
        ("```console\necho\n```\n", "line 2: output before any command"),
    ],
)
def test_a_page_that_breaks_a_rule_is_told_where(text: str, says: str) -> None:
    with pytest.raises(PageInvalid, match=says):
        steps(text)


@pytest.mark.parametrize(
    ("expected", "output"),
    [
        (["one"], "one\n"),
        (["one"], "\none  \n\n"),
        (["id <any> kept"], "id 0192-ab kept\n"),
        (["first", "...", "last"], "first\nlast\n"),
        (["first", "...", "last"], "first\n2\n3\nlast\n"),
        (["..."], ""),
        (["a.c (x)"], "a.c (x)\n"),
    ],
)
def test_output_matches_loosely(expected: list[str], output: str) -> None:
    assert matches(expected, output)


@pytest.mark.parametrize(
    ("expected", "output"),
    [
        (["one"], "one\ntwo\n"),
        (["one"], ""),
        (["id <any> kept"], "id \n kept\n"),
        (["a.c"], "abc\n"),
        (["first", "..."], "second\nfirst\n"),
    ],
)
def test_output_that_differs_does_not_match(expected: list[str], output: str) -> None:
    assert not matches(expected, output)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo", False),
        ("echo \\", True),
        ("echo 'a", True),
        ("cat <<E\nx", True),
        ("a # it's", False),
    ],
)
def test_a_shell_asks_for_more(command: str, *, expected: bool) -> None:
    assert is_open(command) is expected


def test_only_the_port_itself_is_replaced() -> None:
    assert with_port("localhost:8080/18080/8080x 80801", 9) == "localhost:9/18080/9x 80801"
