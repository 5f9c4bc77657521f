"""Query parameters, read strictly.

Rules: a name we do not know is refused and the nearest one we know is named, because a misspelt
`?limt=5` that is quietly ignored costs somebody an afternoon; names that start with `_` are
ignored, so that cache-busters work. A name sent twice must say the same. Values are
percent-encoded UTF-8, `+` is a space.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from eventspine.contracts.errors import InvalidRequest

WHOLE_MAX = 1_000_000_000
_PAGE_NAMES = frozenset(["prefix", "after", "limit"])

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_SECONDS = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?", re.ASCII)


def parsed(raw: bytes, known: Collection[str]) -> dict[str, str]:
    """The parameters of a query string. Raises InvalidRequest."""
    if not raw:
        return {}
    values: dict[str, str] = {}
    for piece in raw.split(b"&"):
        if not piece:
            continue
        name_raw, _, value_raw = piece.partition(b"=")
        name = _unquoted(name_raw, "a parameter name")
        if name.startswith("_"):
            continue
        if name not in known:
            raise _unknown(name, known)
        value = _unquoted(value_raw, name)
        if values.setdefault(name, value) != value:
            raise InvalidRequest(f"{name} is given twice and differs", parameter=name)
    return values


def _unquoted(raw: bytes, name: str) -> str:
    try:
        text = raw.decode("ascii").replace("+", " ")
        if _BAD_ESCAPE.search(text):
            raise InvalidRequest(f"{name} holds a % that escapes nothing", parameter=name)
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"{name} is not percent-encoded UTF-8", parameter=name) from None


def _unknown(name: str, known: Collection[str]) -> InvalidRequest:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f", did you mean {near[0]!r}?" if near else f"; known here: {', '.join(sorted(known))}"
    shown = name[:64]
    return InvalidRequest(f"unknown query parameter {shown!r}{hint}", parameter=shown)


class PrefixPage(NamedTuple):
    """Which page of what has names is wanted."""

    prefix: str
    after: str | None
    limit: int


def prefix_page(raw: bytes, limit: int) -> PrefixPage:
    """`?prefix=…&after=…&limit=…`; `limit`: where none is stated. Raises InvalidRequest."""
    values = parsed(raw, _PAGE_NAMES)
    stated = whole_number(values, "limit", 1)
    return PrefixPage(values.get("prefix", ""), values.get("after"), stated or limit)


def whole_number(values: dict[str, str], name: str, least: int) -> int | None:
    text = values.get(name)
    if text is None:
        return None
    if not _DIGITS.fullmatch(text) or not least <= int(text) <= WHOLE_MAX:
        raise InvalidRequest(
            f"{name} must be a whole number from {least} to {WHOLE_MAX}", parameter=name
        )
    return int(text)


def pairs(values: dict[str, str], name: str) -> dict[str, str]:
    """`a=1,b=2`; a comma, `=` or `%` inside a name or value is percent-encoded once more."""
    found: dict[str, str] = {}
    for piece in filter(None, values.get(name, "").split(",")):
        key, is_there, value = piece.partition("=")
        if not is_there or not key:
            raise InvalidRequest(f"{name} must be name=value, with commas between", parameter=name)
        found[unquote(key)] = unquote(value)
    return found


def seconds(values: dict[str, str], name: str, most: float) -> float:
    text = values.get(name)
    if text is None:
        return 0.0
    value = float(text) if _SECONDS.fullmatch(text) else math.inf
    if not 0 <= value <= most:
        raise InvalidRequest(f"{name} must be seconds from 0 to {most:g}", parameter=name)
    return value
