"""What a backend is to those who may not name one: something that can be checked and opened."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeVar

from eventspine.contracts.route import ResourceRoute

H_co = TypeVar("H_co", covariant=True)


class Probe(NamedTuple):
    """What became of a sentinel: the steps that worked, of open, write, read and delete."""

    ok: bool
    steps: list[str]
    detail: str | None = None


class Backends(Protocol[H_co]):
    """The backends this installation has. Implemented by bootstrap, which alone names adapters."""

    def check(self, resource_kind: str, backend_type: str, config: dict[str, Any]) -> None:
        """Raise UnsupportedBackend or InvalidRoute if a route could not be opened by these."""

    async def open(self, route: ResourceRoute) -> H_co:
        """The open backend of a route; routes with the same config share one."""

    async def probe(self, route: ResourceRoute) -> Probe:
        """Write, read and delete a sentinel behind a route, opened for it if need be."""
