"""Markdown read as a scenario: what a reader would type, and what the page says comes back.

Job: turn one Markdown file into the steps to run, without running anything.
Rules, as an author of a page sees them:

- Fenced ``console``, ``sh`` and ``python`` blocks are run, top to bottom, in one
  folder and one shell. Blocks of any other language are prose.
- ``console``: a line that starts with ``$ `` is a command; an open quote, a here
  document or a final backslash continues it on the next line (a leading ``> `` is
  dropped). The lines up to the next command are its output. Without any, only the
  exit status counts.
- ``sh``: the whole block is one script. ``python``: the whole block is one program.
- In expected output a line ``...`` stands for any number of lines, none included,
  and ``<any>`` for any text within a line.
- HTML comments right before a block steer it: ``<!-- background: ready=URL -->``,
  ``<!-- exit: 2 -->`` (of the block's last command), ``<!-- skip: reason -->``,
  where the reason names the test that covers the block.

Refused: a hidden set-up block. What a page does not show, its reader does not have.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w+-]*)")
_DIRECTIVE = re.compile(r"^\s*<!--\s*(?P<word>[a-z]+):\s*(?P<value>.*?)\s*-->\s*$")
_HERE_DOCUMENT = re.compile(r"<<-?\s*(['\"]?)(?P<end>\w+)\1")
_RUN = ("console", "python", "sh")
_WORDS = ("background", "exit", "skip")


class PageInvalid(ValueError):
    """The page breaks a rule of this file; the text names the line."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block that is meant to be run, `line` being its first line of code."""

    language: str
    text: str
    line: int
    directives: dict[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """One command: `expected` is None where the page shows no output."""

    language: str
    code: str
    line: int
    expected: tuple[str, ...] | None = None
    exit_status: int = 0
    ready_url: str | None = None


def blocks(markdown: str) -> Iterator[Block]:
    """The blocks to run, skipped ones included, in the order of the page."""
    directives: dict[str, str] = {}
    fence: re.Match[str] | None = None
    body: list[str] = []
    start = 0
    for number, line in enumerate(markdown.splitlines(), start=1):
        if fence is not None:
            if line.strip() != fence["ticks"]:
                body.append(line.removeprefix(fence["indent"]))
                continue
            if fence["language"] in _RUN:
                yield Block(fence["language"], "\n".join(body), start, directives)
            fence, directives = None, {}
        elif found := _FENCE.match(line):
            fence, body, start = found, [], number + 1
        elif line.strip():
            directives = _directives_after(directives, line, number)
    if fence is not None:
        raise PageInvalid(f"line {start - 1}: the block is never closed")


def _directives_after(before: dict[str, str], line: str, number: int) -> dict[str, str]:
    found = _DIRECTIVE.match(line)
    if found is None:
        return {}
    if found["word"] not in _WORDS:
        raise PageInvalid(f"line {number}: {found['word']!r} is none of {', '.join(_WORDS)}")
    return before | {found["word"]: found["value"]}


def steps(markdown: str) -> list[Step]:
    """Every step of the page that is not skipped."""
    kept = (block for block in blocks(markdown) if "skip" not in block.directives)
    return [step for block in kept for step in _steps_of(block)]


def skip_reasons(markdown: str) -> list[str]:
    """Why blocks of the page are not run here."""
    return [b.directives["skip"] for b in blocks(markdown) if "skip" in b.directives]


def _steps_of(block: Block) -> list[Step]:
    ready_url = _ready_url(block)
    exit_status = int(block.directives.get("exit", "0"))
    if block.language != "console":
        return [Step(block.language, block.text, block.line, None, exit_status, ready_url)]
    typed = list(_typed(block))
    last = len(typed) - 1
    return [
        Step("console", code, line, expected, exit_status if i == last else 0, ready_url)
        for i, (code, line, expected) in enumerate(typed)
    ]


def _ready_url(block: Block) -> str | None:
    value = block.directives.get("background")
    if value is None:
        return None
    if not value.startswith("ready=http"):
        raise PageInvalid(f"line {block.line}: background needs ready=URL, not {value!r}")
    return value.removeprefix("ready=")


def _typed(block: Block) -> Iterator[tuple[str, int, tuple[str, ...] | None]]:
    code, line, output = "", 0, list[str]()
    for number, text in enumerate(block.text.splitlines(), start=block.line):
        if code and not output and is_open(code):
            code += "\n" + text.removeprefix("> ")
        elif text.startswith("$ "):
            if code:
                yield code, line, _expected(output)
            code, line, output = text[2:], number, []
        elif code:
            output.append(text)
        elif text.strip():
            raise PageInvalid(f"line {number}: output before any command; commands start with '$ '")
    if code:
        yield code, line, _expected(output)


def _expected(output: Sequence[str]) -> tuple[str, ...] | None:
    lines = _trimmed(output)
    return tuple(lines) if lines else None


def is_open(command: str) -> bool:
    """Whether a shell would ask for another line of `command`."""
    first, *more = command.split("\n")
    if found := _HERE_DOCUMENT.search(first):
        return found["end"] not in (line.strip() for line in more)
    if command.endswith("\\"):
        return True
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def matches(expected: Sequence[str], output: str) -> bool:
    """Whether `output` is what the page says, with its ``...`` and ``<any>``."""
    pattern = "".join(_line_pattern(line) for line in expected)
    lines = _trimmed(output.splitlines())
    return re.fullmatch(pattern, "".join(line + "\n" for line in lines)) is not None


def _line_pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:[^\n]*\n)*?"
    return r"[^\n]+?".join(re.escape(part) for part in line.rstrip().split("<any>")) + r"\n"


def _trimmed(lines: Sequence[str]) -> list[str]:
    return "\n".join(line.rstrip() for line in lines).strip("\n").splitlines()


def with_port(text: str, port: int) -> str:
    """`text` with the pages' port, 8080, replaced by a free one."""
    return re.sub(r"(?<!\d)8080(?!\d)", str(port), text)
