"""Where the routing registry keeps its routes. Every implementation passes the same suite.

The registry is one image with one revision; a change replaces it by compare-and-set. That is exact
on a file (rename), on an object store (conditional put) and in a table (conditional write).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from eventspine.contracts.route import ResourceRoute


class RegistryImage(NamedTuple):
    """All routes as of one revision; revision 0 is the empty registry nobody has written."""

    revision: int = 0
    routes: tuple[ResourceRoute, ...] = ()


class RegistryStore(ABC):
    @abstractmethod
    async def load(self) -> RegistryImage:
        """The image last saved. Raises RootInvalid when what is there cannot be read."""

    @abstractmethod
    async def save(self, image: RegistryImage, *, replaces: int) -> None:
        """Keep `image`, durably and at once, if the saved revision is still `replaces`.

        Raises:
            RouteConflict: somebody saved another revision in between. Nothing was changed.
        """
