"""What a backend is to those who may not name one: something that can be checked and opened."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from eventspine.contracts.route import ResourceRoute

H_co = TypeVar("H_co", covariant=True)


class Backends(Protocol[H_co]):
    """The backends this installation has. Implemented by bootstrap, which alone names adapters."""

    def check(self, resource_kind: str, backend_type: str, config: dict[str, Any]) -> None:
        """Raise UnsupportedBackend or InvalidRoute if a route could not be opened by these."""

    async def open(self, route: ResourceRoute) -> H_co:
        """The open backend of a route; routes with the same config share one."""
