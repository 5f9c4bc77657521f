"""Ids and the path segments made of them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import PurePosixPath
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventspine.contracts.context import Scope
from eventspine.contracts.errors import InvalidId
from eventspine.contracts.ids import (
    ID_BYTES_MAX,
    NAME_CHARS_MAX,
    checked_id,
    checked_mode,
    id_of_segment,
    path_segment,
)
from tests.inner import examples


def usable(value: str) -> bool:
    try:
        checked_id(value, "id")
    except InvalidId:
        return False
    return True


NORMAL_FORMS: list[Literal["NFC", "NFD", "NFKC", "NFKD"]] = ["NFC", "NFD", "NFKC", "NFKD"]
IDS = st.one_of(
    st.text(min_size=1, max_size=80),
    st.text(alphabet="aA.%~@/\\\u00b2\u00e9\u0301 -_0", min_size=1, max_size=255),
    st.sampled_from(["con", "CON", "nul.txt", "..", ".", "%63on", "com1", "lpt0", "~", "a~b"]),
).filter(usable)


def look_alikes(value: str) -> set[str]:
    """A usable id, and those that some normal form or file system takes for the same."""
    forms = {unicodedata.normalize(form, value) for form in NORMAL_FORMS}
    cases = {value.lower(), value.upper(), value.casefold(), value.swapcase()}
    encoded = {path_segment(value), value.replace("/", "%2f"), value + " ", value + "."}
    return {other for other in {value} | forms | cases | encoded if other and usable(other)}


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(IDS, min_size=3, max_size=8))
def test_two_ids_never_share_a_segment(values) -> None:
    """Some 60 ids an example, every pair of them compared: about 100,000 pairs."""
    every = set().union(*map(look_alikes, values))
    assert len({path_segment(value) for value in every}) == len(every)
    assert len({path_segment(value).casefold() for value in every}) == len(every)


@settings(max_examples=examples(200), deadline=None)
@given(IDS)
def test_a_segment_is_reversible_and_stays_in_its_folder(value) -> None:
    segment = path_segment(value)
    assert segment.isascii()
    assert segment.isprintable()
    assert not set(segment) & set('/\\.@: *?"<>|')
    assert 1 <= len(segment) <= 160
    assert PurePosixPath("a") / segment == PurePosixPath(f"a/{segment}")
    assert os.path.normpath(f"/top/{segment}") == f"/top/{segment}"
    assert id_of_segment(segment) == (None if "~" in segment else value)


@settings(max_examples=examples(200), deadline=None)
@given(st.text(max_size=60))
def test_a_text_that_is_no_segment_is_of_no_id(text) -> None:
    value = id_of_segment(text)
    assert value is None or path_segment(value) == text


@pytest.mark.parametrize(
    "value", ["", None, 5, b"a", "\n", "a\x00", "\x7f", "\x85", "\ud800", "x" * 256, "é" * 128]
)
def test_what_cannot_be_an_id_is_refused_by_name(value) -> None:
    with pytest.raises(InvalidId, match="thing"):
        checked_id(value, "thing")


def test_limits_count_bytes() -> None:
    assert checked_id("é" * (ID_BYTES_MAX // 2), "id")
    assert checked_mode("é" * 15) == "é" * 15
    with pytest.raises(InvalidId):
        checked_mode("é" * 16)


SCOPES = st.builds(Scope, IDS, IDS, st.just("lab"), IDS, IDS)


@settings(max_examples=examples(200), deadline=None)
@given(SCOPES, SCOPES)
def test_two_scopes_never_share_a_folder(one, two) -> None:
    assert (one.path == two.path) == (one == two)


@settings(max_examples=examples(300), deadline=None)
@given(SCOPES)
def test_every_part_of_a_scope_is_a_name_a_file_system_takes(scope) -> None:
    parts = scope.path.split("/")
    assert len(parts) == 3
    assert all(0 < len(part) <= NAME_CHARS_MAX for part in parts)


def test_the_longest_scope_fits() -> None:
    longest = "é" * 127
    scope = Scope(longest, longest, "lab", longest, longest)
    assert all(len(part) <= NAME_CHARS_MAX for part in scope.path.split("/"))
    assert scope.path != scope._replace(project_id=longest[:-1]).path
    assert scope.path != scope._replace(surface_id=longest[:-1]).path
