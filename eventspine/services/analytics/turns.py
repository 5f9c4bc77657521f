"""Turns: how many questions are worked on at once, and how many of those are of one tenant.

First come, first served among a tenant's own, and among those whose tenant has a place left; so a
tenant that asks without end makes others wait for one place, and never for all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class _OfOne:
    """What one tenant has under way or waiting."""

    def __init__(self, most: int) -> None:
        self.places = anyio.Semaphore(most)
        self.here = 0


class Turns:
    """Args: most: questions at once. of_one: those of one tenant."""

    def __init__(self, most: int, of_one: int) -> None:
        self._places = anyio.Semaphore(most)
        self._of_one = of_one
        self._tenants: dict[str, _OfOne] = {}

    @property
    def tenants(self) -> int:
        """How many tenants have something under way or waiting."""
        return len(self._tenants)

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Wait for a place, and have it until the block ends."""
        own = self._tenants.get(tenant)
        if own is None:
            own = self._tenants[tenant] = _OfOne(self._of_one)
        own.here += 1
        try:
            async with own.places, self._places:
                yield
        finally:
            own.here -= 1
            if not own.here:
                del self._tenants[tenant]
