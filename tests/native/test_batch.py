"""What the writer's thread does with a batch is what the Python side does with each commit."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventspine.adapters.filesystem.log.record import decode_entries, encode_entries_in_python
from eventspine.adapters.filesystem.streams.backlog import Unflushed
from eventspine.contracts.stores import CommitKind, StreamCommit
from tests.inner import examples

TEXT = st.text(max_size=20)
LINES = st.lists(st.binary(max_size=30), max_size=4)
COMMITS = st.builds(
    StreamCommit,
    key=TEXT,
    mode=TEXT,
    epoch=st.integers(0, 2**32 - 1),
    first_sequence=st.integers(0, 2**63 - 1),
    lines=LINES | LINES.map(tuple),
    kind=st.sampled_from(CommitKind),
)


@settings(deadline=None, max_examples=examples(300))
@given(st.lists(COMMITS, max_size=8), st.sampled_from([list, tuple]))
def test_entries_are_those_of_the_python_side(
    core: Any, batch: list[StreamCommit], form: Callable[[Any], Sequence[StreamCommit]]
) -> None:
    data = core.encode_entries(form(batch))
    assert data == encode_entries_in_python(batch)
    again = decode_entries(data, len(batch))
    assert [(one.key, one.lines) for one in again] == [(one.key, [*one.lines]) for one in batch]


def test_the_longest_key_and_mode_fit(core: Any) -> None:
    batch = [StreamCommit("k" * 65535, "m" * 255, 2**32 - 1, 2**63 - 1, [])]
    assert core.encode_entries(batch) == encode_entries_in_python(batch)


@pytest.mark.parametrize(
    "bad",
    [
        {"key": "k" * 65536},
        {"mode": "m" * 256},
        {"key": "\ud800"},
        {"key": 1},
        {"mode": None},
        {"epoch": -1},
        {"epoch": 2**32},
        {"epoch": 2**70},
        {"epoch": 1.5},
        {"first_sequence": -1},
        {"first_sequence": 2**64},
        {"first_sequence": None},
        {"kind": 256},
        {"kind": -1},
        {"kind": None},
        {"lines": None},
        {"lines": ["text"]},
        {"lines": [b"", None]},
        {"lines": 5},
    ],
    ids="-".join,
)
def test_a_commit_that_does_not_fit_is_an_error_on_both_sides(
    core: Any, bad: dict[str, Any]
) -> None:
    for at in range(3):
        batch = [StreamCommit("k", "lab", 1, 1, [b"line"]) for _ in range(3)]
        for name, value in bad.items():
            setattr(batch[at], name, value)
        for encode in (core.encode_entries, encode_entries_in_python):
            with pytest.raises(
                (TypeError, ValueError, OverflowError, AttributeError, struct.error)
            ):
                encode(batch)


@pytest.mark.parametrize("batch", [None, 5, [None], ["text"], [object()]])
def test_what_is_no_batch_is_refused(core: Any, batch: Any) -> None:
    with pytest.raises(TypeError):
        core.encode_entries(batch)
    with pytest.raises(TypeError):
        core.extend_known({}, batch, print)


@pytest.mark.parametrize("name", ["key", "mode", "epoch", "first_sequence", "lines", "kind"])
def test_a_commit_that_is_not_filled_in_is_an_error(core: Any, name: str) -> None:
    commit = StreamCommit("k", "lab", 1, 1, [b"line"])
    delattr(commit, name)
    with pytest.raises((AttributeError, TypeError, OverflowError)):
        core.encode_entries([commit])


# --- the backlog ---

HISTORIES = st.lists(
    st.builds(
        StreamCommit,
        key=st.sampled_from("abc"),
        mode=st.sampled_from(["lab", "lab", "other", ""]),
        epoch=st.integers(1, 3),
        first_sequence=st.integers(1, 9),
        lines=LINES,
        kind=st.sampled_from([CommitKind.EVENTS] * 6 + [CommitKind.CLOSE, CommitKind.DELETE]),
    ),
    max_size=30,
)


class Adding(dict[str, Unflushed]):
    def add(self, commit: StreamCommit) -> None:
        """As Backlog._add."""
        stream = self.get(commit.key)
        if stream is None:
            stream = self[commit.key] = Unflushed(commit)
        stream.add(commit)

    def shown(self) -> dict[str, tuple[object, ...]]:
        names = Unflushed.__slots__
        return {key: tuple(getattr(one, name) for name in names) for key, one in self.items()}


@settings(deadline=None, max_examples=examples(500))
@given(HISTORIES, st.integers(1, 7))
def test_a_backlog_grows_as_on_the_python_side(
    core: Any, history: list[StreamCommit], at_once: int
) -> None:
    compiled, expected = Adding(), Adding()
    for start in range(0, len(history), at_once):
        core.extend_known(compiled, history[start : start + at_once], compiled.add)
    for commit in history:
        expected.add(commit)
    assert list(compiled) == list(expected)
    assert compiled.shown() == expected.shown()


def test_just_more_lines_need_no_python(core: Any) -> None:
    adding, asked = Adding(), []

    def other(commit: StreamCommit) -> None:
        asked.append(commit)
        adding.add(commit)

    batch = [StreamCommit("k", "lab", 1, n, [b"%d" % n]) for n in range(1, 6)]
    core.extend_known(adding, batch, other)
    assert asked == batch[:1]
    assert adding["k"].lines == [b"1", b"2", b"3", b"4", b"5"]


def test_an_error_of_the_other_ends_it_where_it_stands(core: Any) -> None:
    adding = Adding()

    def other(commit: StreamCommit) -> None:
        if commit.kind is CommitKind.CLOSE:
            raise ValueError("told")
        adding.add(commit)

    batch = [StreamCommit("k", "lab", 1, n, [b"%d" % n]) for n in range(1, 4)]
    batch.insert(2, StreamCommit("k", "lab", 1, 3, [], CommitKind.CLOSE))
    with pytest.raises(ValueError, match="told"):
        core.extend_known(adding, batch, other)
    assert adding["k"].lines == [b"1", b"2"]


def test_a_batch_that_shrinks_meanwhile_is_no_crash(core: Any) -> None:
    adding = Adding()
    batch = [StreamCommit(f"k{n}", "lab", 1, 1, [b"line"]) for n in range(100)]

    def other(commit: StreamCommit) -> None:
        adding.add(commit)
        batch.clear()

    core.extend_known(adding, batch, other)
    assert list(adding) == ["k0"]
