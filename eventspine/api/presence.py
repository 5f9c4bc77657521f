"""Work that is only worth finishing while the client is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from starlette.types import Receive

from eventspine.api.refusals import ClientGone

T = TypeVar("T")


async def while_connected(receive: Receive, work: Callable[[anyio.CancelScope], Awaitable[T]]) -> T:
    """The result of `work`, which is handed the scope that ends it.

    Raises:
        ClientGone: the client went away, or the scope was cancelled (by its deadline, say).

    An error of `work` is carried out by hand, so that callers see it and not a group of one.
    """
    results: list[T] = []
    failures: list[Exception] = []
    async with anyio.create_task_group() as group:
        group.start_soon(_watch, receive, group.cancel_scope)
        try:
            results.append(await work(group.cancel_scope))
        except Exception as error:
            failures.append(error)
        group.cancel_scope.cancel()
    if failures:
        raise failures[0]
    if not results:
        raise ClientGone
    return results[0]


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
