"""Variables that chose backends become routes, or are named; their values stay where they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.bootstrap import check_route, takes_secret
from eventspine.contracts.errors import InvalidRequest
from eventspine.contracts.legacy_env import (
    Imported,
    Meaning,
    imported,
    looks_legacy,
    meaning_of,
    variables_of,
)
from eventspine.contracts.route import ResourceKind

CANARY = "canary-5up3r-s3cret-value"
SCOPE = {"tenant_id": "*", "env": "dev", "project_id": "*", "mode": "lab"}


def found(variables: Mapping[str, str], *means: str) -> Imported:
    meanings = dict(map(meaning_of, means))
    return imported(variables, meanings, SCOPE, check_route, takes_secret)


def rows(result: Imported) -> dict[str, tuple[str, dict[str, Any]]]:
    return {key.resource_kind: (r.backend_type, r.config) for key, r in result.routes.items()}


@pytest.mark.parametrize(
    ("value", "backend"),
    [
        ("filesystem", "filesystem"),
        (" FileSystem ", "filesystem"),
        ("jsonl", "filesystem"),
        ("memory", "memory"),
        ("in_memory", "memory"),
    ],
)
def test_the_timeline_becomes_a_route_of_event_stream(value: str, backend: str) -> None:
    result = found({"STREAM_TIMELINE_BACKEND": value})
    (route,) = result.routes.values()
    assert route.key == ("event_stream", "*", "dev", "*", "lab")
    assert (route.backend_type, route.config) == (backend, {})
    assert route.reason == "imported from STREAM_TIMELINE_BACKEND"
    assert result.not_understood == {}


def test_what_is_not_understood_is_named_with_the_reason_and_no_value() -> None:
    result = found(
        {
            "STREAM_TIMELINE_BACKEND": "firestore",
            "AUDIT_STRICT": "1",
            "BUDGET_BACKEND": CANARY,
            "DB_PASSWORD": CANARY,
        }
    )
    assert result.routes == {}
    assert result.not_understood == {
        "STREAM_TIMELINE_BACKEND": ("event_stream/*/dev/*/lab: Unsupported backend_type=firestore"),
        "AUDIT_STRICT": "it chooses no backend: set audit.strict in settings.toml",
        "BUDGET_BACKEND": "say what it chooses: --means NAME=kind",
        "DB_PASSWORD": "it looks like a secret; say what it is for: --means NAME=kind.field",
    }
    assert CANARY not in repr(result)


@pytest.mark.parametrize("value", ["", " ", "a b", CANARY, f"https://{CANARY}@host/"])
def test_a_value_that_is_no_name_is_not_repeated(value: str) -> None:
    result = found({"STREAM_TIMELINE_BACKEND": value})
    assert result.not_understood == {"STREAM_TIMELINE_BACKEND": "its value is no name of a backend"}


def test_variables_of_ones_own_are_explained_once() -> None:
    result = found(
        {"BLOBS": "local", "BLOB_DIR": "blobs", "UPLOAD_KEY": CANARY},
        "BLOBS=object_store",
        "BLOB_DIR=object_store.root",
        "UPLOAD_KEY=object_store.signing_key",
    )
    config = {"root": "blobs", "signing_key": "secret://upload_key"}
    assert rows(result) == {"object_store": ("filesystem", config)}
    assert result.secrets == {"upload_key": "UPLOAD_KEY"}
    assert result.not_understood == {}
    assert CANARY not in repr(result)


def test_a_secret_never_goes_into_a_field_that_takes_none() -> None:
    result = found(
        {"ROWS": "filesystem", "ROWS_TOKEN": CANARY},
        "ROWS=tabular_store",
        "ROWS_TOKEN=tabular_store.root",
    )
    assert rows(result) == {"tabular_store": ("filesystem", {})}
    assert result.not_understood == {
        "ROWS_TOKEN": "it looks like a secret, and root of tabular_store takes none"
    }
    assert CANARY not in repr(result)


@pytest.mark.parametrize(
    ("variables", "means", "why"),
    [
        ({"A": "x"}, ["A=tabular_store.root"], "needs one variable for its backend, not 0"),
        ({"A": "fs", "B": "fs"}, ["A=tabular_store", "B=tabular_store"], "backend, not 2"),
        ({"A": "fs", "B": "/etc"}, ["A=tabular_store", "B=tabular_store.root"], "config.root"),
        ({"A": "fs", "B": "x"}, ["A=tabular_store", "B=tabular_store.more"], "config.more"),
    ],
)
def test_what_does_not_make_a_route_is_told_for_each_variable(variables, means, why) -> None:
    result = found(variables, *means)
    assert result.routes == {}
    assert result.not_understood.keys() == variables.keys()
    assert all(why in text for text in result.not_understood.values())


def test_a_file_of_variables_is_read_as_a_shell_would() -> None:
    text = "# a comment\nexport A=1\nB='two words' # more\n\nC=\"\"\nD=a=b\n"
    assert variables_of(text) == {"A": "1", "B": "two words", "C": "", "D": "a=b"}


@pytest.mark.parametrize("line", [f"just {CANARY}", f"A='{CANARY}", f"1A={CANARY}", f"={CANARY}"])
def test_a_line_that_is_no_variable_is_told_by_its_number(line: str) -> None:
    with pytest.raises(InvalidRequest, match="line 2 is not NAME=value") as caught:
        variables_of(f"A=1\n{line}\n")
    assert CANARY not in str(caught.value)


def test_a_meaning_names_a_kind_and_perhaps_a_field() -> None:
    assert meaning_of("A=vector_store") == ("A", Meaning(ResourceKind.VECTOR_STORE))
    assert meaning_of("A=object_store.root") == ("A", Meaning(ResourceKind.OBJECT_STORE, "root"))
    for wrong in ("A", "=object_store", "A=floppy", "1=object_store", "A=object_store=x"):
        with pytest.raises(InvalidRequest):
            meaning_of(wrong)


def test_only_what_may_have_chosen_a_backend_is_looked_at_in_an_environment() -> None:
    assert all(map(looks_legacy, ["STREAM_TIMELINE_BACKEND", "AUDIT_STRICT", "KPI_STORE"]))
    assert not any(map(looks_legacy, ["PATH", "HOME", "BACKEND", "STORE_FRONT"]))


@given(
    st.dictionaries(
        st.from_regex("[A-Z_]{1,12}", fullmatch=True) | st.just("STREAM_TIMELINE_BACKEND"),
        st.text(max_size=20).map(lambda text: f"{CANARY}{text}"),
        max_size=5,
    )
)
def test_every_variable_is_taken_or_named_and_no_value_is_shown(variables: dict[str, str]) -> None:
    result = found(variables)
    assert {name for name, _ in result.taken} | result.not_understood.keys() == variables.keys()
    assert CANARY not in repr(result)
