"""Planting a bug: the product's own method, compiled again with a line of it changed.

Only while the block lasts, and only in this process. A text that is not found any more is an error
of the catalogue, so that no bug of it goes unplanted without a word.
"""

from __future__ import annotations
import __future__

import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any
from unittest.mock import patch


@dataclass(frozen=True, slots=True)
class Change:
    """In the function `name` of `owner` (a class or a module), `old` becomes `new`."""

    owner: Any
    name: str
    old: str
    new: str

    def function(self) -> Any:
        found = inspect.getattr_static(self.owner, self.name)
        plain: FunctionType = getattr(found, "__func__", found)  # of a classmethod
        source = textwrap.dedent(inspect.getsource(plain))
        assert source.count(self.old) == 1, f"{self.old!r} is not once in {plain.__qualname__}"
        module = sys.modules[plain.__module__]
        code = compile(
            source.replace(self.old, self.new),
            f"{plain.__code__.co_filename} with {self.new!r}",
            "exec",
            flags=__future__.annotations.compiler_flag,
            dont_inherit=True,
        )
        made: dict[str, Any] = {}
        exec(code, module.__dict__, made)
        return made[self.name]


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug of the catalogue, in the words of somebody who has just understood it.

    `profile`: of the schedules in which it hurts (see profiles.py), if it needs a special one.
    """

    name: str
    what: str
    changes: tuple[Change, ...]
    profile: str = "any"

    @contextmanager
    def planted(self) -> Iterator[None]:
        with ExitStack() as stack:
            for change in self.changes:
                # made one after the other: two may change the same function
                stack.enter_context(patch.object(change.owner, change.name, change.function()))
            yield
