"""Where the routing registry keeps its routes. Every implementation passes the same suite.

The registry is one image with one revision; a change replaces it by compare-and-set. That is exact
on a file (rename), on an object store (conditional put) and in a table (conditional write). The
history of its changes only grows, and is durable before the image that it leads to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from eventspine.contracts.route import ResourceRoute
from eventspine.contracts.route_change import RouteChange


class RegistryImage(NamedTuple):
    """All routes as of one revision; revision 0 is the empty registry nobody has written."""

    revision: int = 0
    routes: tuple[ResourceRoute, ...] = ()


class RegistryStore(ABC):
    @abstractmethod
    async def load(self) -> RegistryImage:
        """The image last saved. Raises RootInvalid when what is there cannot be read."""

    @abstractmethod
    async def save(
        self, image: RegistryImage, *, replaces: int, change: RouteChange | None = None
    ) -> None:
        """Keep `image` and how it came about, durably, if the saved revision is `replaces`.

        Raises:
            RouteConflict: somebody saved another revision in between. Nothing was changed.
        """

    @abstractmethod
    async def history(self) -> list[RouteChange]:
        """Every change that led to the saved image, oldest first. Raises RootInvalid."""
