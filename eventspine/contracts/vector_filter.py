"""Which points a search looks at: a small closed language over their metadata. Pure.

    {"lang": "en", "year": {"gte": 2020, "lt": 2024}, "tag": {"in": ["a", "b"]}}

Rules: every member names a top-level member of the metadata, and all of them have to hold. A plain
string, number, boolean or null has to be equal: `true` is not 1, and 1 is 1.0. `in` wants one of
several. `gt`, `gte`, `lt`, `lte` are for numbers. What a point does not have never matches, not
even null. Nothing of it is ever given to a database as text.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventspine.contracts.errors import InvalidRequest
from eventspine.contracts.vectors import VectorPoint

FIELDS_MAX = 32
CHOICES_MAX = 1000
Filter = Callable[[Sequence[VectorPoint]], Sequence[VectorPoint]]
_Test = Callable[[Any], bool]

_RANGE: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_NUMBERS = frozenset([int, float])  # what numbers of JSON become
_ABSENT = object()


def compiled(stated: Any) -> Filter | None:
    """What picks the points that match, in their order; None: all do. Raises InvalidRequest."""
    if stated is None:
        return None
    if not isinstance(stated, Mapping) or not all(isinstance(name, str) for name in stated):
        raise _wrong("the filter must be an object")
    if len(stated) > FIELDS_MAX:
        raise _wrong(f"the filter names more than {FIELDS_MAX} members")
    tests = [(name, test) for name, part in stated.items() for test in _tests(name, part)]
    if not tests:
        return None

    def matching(points: Sequence[VectorPoint]) -> Sequence[VectorPoint]:
        for name, test in tests:  # each looks only at what those before it left
            points = [point for point in points if test(point.metadata.get(name, _ABSENT))]
        return points

    return matching


def _tests(name: str, part: Any) -> list[_Test]:
    if not isinstance(part, Mapping):
        return [_one_of(name, [part])]
    if not part:
        raise _wrong(f"filter {name[:64]!r} says nothing")
    return [_operation(name, verb, value) for verb, value in part.items()]


def _operation(name: str, verb: Any, value: Any) -> _Test:
    if verb == "eq":
        return _one_of(name, [value])
    if verb == "in":
        if not isinstance(value, list | tuple) or len(value) > CHOICES_MAX:
            raise _wrong(f"filter {name[:64]!r}: in needs a list of at most {CHOICES_MAX}")
        return _one_of(name, value)
    compare = _RANGE.get(verb) if isinstance(verb, str) else None
    if compare is None:
        known = ", ".join(["eq", "in", *_RANGE])
        raise _wrong(f"filter {name[:64]!r}: unknown {str(verb)[:64]!r}; known: {known}")
    if not _is_number(value):
        raise _wrong(f"filter {name[:64]!r}: {verb} needs a number")
    return lambda found: found.__class__ in _NUMBERS and compare(found, value)


def _one_of(name: str, values: Any) -> _Test:
    """By class first, so that true is not 1, and what has no hash is never looked for."""
    wanted: dict[type, set[Any]] = {}
    numbers = {value for value in values if _is_number(value)}
    for value in values:
        if value is None or isinstance(value, str | bool):
            kind = str if isinstance(value, str) else value.__class__  # an enum is its text
            wanted.setdefault(kind, set()).add(value)
        elif not _is_number(value):
            raise _wrong(f"filter {name[:64]!r} compares with strings, numbers, booleans and null")
    wanted[int] = wanted[float] = numbers
    of_class = wanted.get
    return lambda found: found in of_class(found.__class__, ())


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(detail: str) -> InvalidRequest:
    return InvalidRequest(detail, parameter="filter")
