"""Where the routing registry keeps its routes. Every implementation passes the same suite.

The registry is one image with one revision; a change replaces it by compare-and-set. That is exact
on a file (rename), on an object store (conditional put) and in a table (conditional write). The
history of its changes only grows, and is durable before the image that it leads to. Switches of
routes with their data (contracts/switch.py) are kept beside it.

Where people can write into the place themselves, as on a file system, the last three methods tell
of it and keep what they wrote. Elsewhere there is nothing to tell.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from eventspine.contracts.route import ResourceRoute
from eventspine.contracts.route_change import RouteChange
from eventspine.contracts.route_file import RouteFile
from eventspine.contracts.switch import Switch


class RegistryImage(NamedTuple):
    """All routes as of one revision; revision 0 is the empty registry nobody has written."""

    revision: int = 0
    routes: tuple[ResourceRoute, ...] = ()


class RegistryStore(ABC):
    """`backend_type` and `config` say what it lies on, as a route would, for diagnostics."""

    backend_type: ClassVar[str]
    config: ClassVar[Mapping[str, Any]]

    @abstractmethod
    async def load(self) -> RegistryImage:
        """The image last saved. Raises RootInvalid when what is there cannot be read."""

    @abstractmethod
    async def save(
        self, image: RegistryImage, *, replaces: int, change: RouteChange | None = None
    ) -> None:
        """Keep `image` and how it came about, durably, if the saved revision is `replaces`.

        Raises:
            RouteConflict: somebody saved another revision in between, or wrote what `edited` has
                not answered yet. Nothing was changed.
        """

    @abstractmethod
    async def load_switches(self) -> tuple[Switch, ...]:
        """The switches last saved, oldest first; none when nobody has saved any."""

    @abstractmethod
    async def save_switches(self, switches: Sequence[Switch]) -> None:
        """Keep these in the place of those that were there, durably."""

    @abstractmethod
    async def history(self) -> list[RouteChange]:
        """Every change that led to the saved image, oldest first. Raises RootInvalid."""

    async def edited(self) -> RouteFile | None:
        """What somebody has written in place of the image last loaded or saved; None: nothing.

        Its serial is the revision that was edited. `save` may replace it from now on.

        Raises:
            InvalidRoute: it cannot be read as routes.
        """
        return None

    async def put_back(self, image: RegistryImage, *, keep: bool) -> None:
        """Have `image` there again, durably; with `keep` what is there is first set aside.

        Only where `edited` has answered something.
        """
        raise AssertionError("nothing was edited here")

    async def set_aside_names(self) -> list[str]:
        """The names of what was set aside and is still there."""
        return []
