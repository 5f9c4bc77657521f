"""Contexts, scopes and surfaces."""

from __future__ import annotations

import pytest

from eventspine.contracts.context import RequestContext, context_of
from eventspine.contracts.errors import ContextMissing, InvalidId
from eventspine.contracts.surface import SURFACE_ALIASES, canonical_surface

LAB = {"tenant_id": "t", "env": "e", "mode": "lab"}


@pytest.mark.parametrize("alias", sorted(SURFACE_ALIASES))
def test_an_alias_surface_is_its_canonical_one(alias) -> None:
    context = RequestContext(**LAB, surface_id=alias)
    assert context.surface_id == "squared2"
    assert context.scope == RequestContext(**LAB, surface_id="squared2").scope


@pytest.mark.parametrize("surface", ["Squared", "squared 2", "squared2 ", "SQUARED2"])
def test_any_other_surface_is_kept_as_it_is_written(surface) -> None:
    assert RequestContext(**LAB, surface_id=surface).surface_id == surface


def test_the_default_surface() -> None:
    assert canonical_surface(None) == canonical_surface("") == "_"
    assert RequestContext(**LAB).scope.path == "t/e/_"


def test_only_surfaces_are_normalised() -> None:
    assert RequestContext(**{**LAB, "tenant_id": "SQUARED²"}).tenant_id == "SQUARED²"


def test_a_copy_with_other_values_has_a_scope_of_its_own() -> None:
    context = RequestContext(**LAB)
    assert context.scope.tenant_id == "t"
    copy = context.model_copy(update={"tenant_id": "other", "surface_id": "SQUARED"})
    assert copy.scope.tenant_id == "other"
    assert copy.scope.surface_id == "squared2"
    with pytest.raises(InvalidId):
        context.model_copy(update={"tenant_id": ""})


@pytest.mark.parametrize("field", ["tenant_id", "env", "mode", "project_id", "surface_id"])
@pytest.mark.parametrize("value", ["", "a\n", "\ud800", "x" * 256])
def test_values_that_cannot_be_ids_are_refused(field, value) -> None:
    with pytest.raises(InvalidId):
        RequestContext(**{**LAB, field: value})


def test_a_mode_fits_where_it_is_remembered() -> None:
    assert RequestContext(**{**LAB, "mode": "m" * 31}).mode == "m" * 31
    with pytest.raises(InvalidId):
        RequestContext(**{**LAB, "mode": "m" * 32})


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ContextMissing) as caught:
        context_of({"tenant_id": "t", "env": None})
    assert caught.value.fields["missing"] == ["env", "mode"]
    assert context_of({"tenant_id": "x"}, LAB).tenant_id == "x"
    assert context_of({}, LAB).scope == RequestContext(**LAB).scope
