"""Told: a ticket that nobody awaits; it calls somebody back as soon as the commit is durable.

Why: whoever has no task of its own (a connection) would need a Future, a task and two passes of the
loop to be told what one call can say. All of a batch are told in the wake-up that settles it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import Any

from eventspine.contracts.answers import Appended

log = logging.getLogger(__name__)

Done = Callable[[Appended | None, BaseException | None], None]


class Told:
    """The ticket of one append; `done(appended, None)` or `done(None, error)`, once.

    `answer` makes the answer; whoever submitted the commit sets it before the loop goes on.
    """

    __slots__ = ("_done", "answer")

    def __init__(self, done: Done) -> None:
        self._done = done
        self.answer: Callable[[], Appended]

    def done(self) -> bool:
        return False

    def set_result(self, value: None, /) -> None:
        self._tell(self.answer(), None)

    def set_exception(self, error: BaseException, /) -> None:
        self._tell(None, error)

    def _tell(self, appended: Appended | None, error: BaseException | None) -> None:
        try:
            self._done(appended, error)
        except Exception:  # the rest of the batch has to be told
            log.exception("somebody could not be told of an append")

    def __await__(self) -> Generator[Any, Any, None]:
        raise RuntimeError("a Told calls back; it is not awaited")
