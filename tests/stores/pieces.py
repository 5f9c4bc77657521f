"""A state copied in pieces while it changes, as a large journal is written anew."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any

import msgspec

from eventspine.contracts.journal import State


class Pieces:
    """Args: state: what is copied; it is the caller's to tell what it decides meanwhile."""

    def __init__(self, state: State[Any]) -> None:
        names = state.names()
        assert names is not None
        self._names = iter(names)
        self._copied = list(state.opening())
        self.since: list[Any] = []

    def copy(self, state: State[Any], count: int) -> None:
        """So many names more."""
        names = islice(self._names, count)
        self._copied += [one for one in map(state.record_of, names) if one is not None]

    def lines(self, state: State[Any]) -> list[bytes]:
        """What is left, and all of it as it is stored."""
        self.copy(state, sys.maxsize)
        records = [*self._copied, *state.closing(), *self.since]
        return [msgspec.json.encode(record) for record in records]
