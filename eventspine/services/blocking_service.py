"""A service with calls that block: every coroutine of it runs on the loop of a portal.

What it answers to is what the service answers to: `tables.upsert(…)` for `await tables.upsert(…)`,
`for piece in objects.stream(…)` for `async for`. Source: D18.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Iterator
from functools import partial, wraps
from typing import Any

from anyio.from_thread import BlockingPortal


class BlockingService:
    """Args: service: whose methods these are; any thread may call them."""

    def __init__(self, service: object, portal: BlockingPortal) -> None:
        self._service = service
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._service, name)
        if not callable(found):
            return found

        @wraps(found)
        def call(*args: Any, **named: Any) -> Any:
            answer = self._portal.call(partial(_called, found, args, named))
            return self._each(answer) if isinstance(answer, AsyncGenerator) else answer

        return call

    def __repr__(self) -> str:
        return f"blocking {self._service!r}"

    def _each(self, items: AsyncGenerator[Any, None]) -> Iterator[Any]:
        try:
            while (item := self._portal.call(anext, items, _END)) is not _END:
                yield item
        finally:
            self._portal.call(items.aclose)


_END = object()


async def _called(function: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    answer = function(*args, **named)
    return await answer if inspect.isawaitable(answer) else answer
