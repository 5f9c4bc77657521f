"""Fence: keys that a host takes no changes of any more, and the host that does.

Job: say of a key and a mode whether they are behind the fence. While `host` is None they are held;
then they are `host`'s. An operation that got to the old host before the fence stood is told
RouteMoved and goes by its route again; readers go on at `host`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eventspine.actors.view import HostView
from eventspine.contracts.errors import RouteMoved
from eventspine.contracts.route import RouteKey

Covers = Callable[[str, str], bool]  # (key, mode)


class Fence:
    """Args: row: whose move it is. covers: whether a key, in a mode, is behind the fence."""

    __slots__ = ("covers", "host", "row")

    def __init__(self, row: RouteKey, covers: Covers) -> None:
        self.row = row
        self.covers = covers
        self.host: HostView | None = None


def refuse_moved(fences: Sequence[Fence], key: str, mode: str) -> None:
    """Raise RouteMoved for what is behind one of the fences."""
    for fence in fences:
        if fence.covers(key, mode):
            raise RouteMoved(f"{key} moves to another backend", retry_after_s=1)


def moved_to(fences: Sequence[Fence], key: str, mode: str) -> HostView | None:
    """The host that has the key now; None: it is where it was, or still held there."""
    for fence in fences:
        if fence.host is not None and fence.covers(key, mode):
            return fence.host
    return None
