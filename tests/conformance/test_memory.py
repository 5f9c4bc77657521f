"""Event streams in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventspine.adapters.memory.event_stream import MemoryEventStreamStore
from eventspine.testing.event_stream import EventStreamStoreSuite


class TestMemory(EventStreamStoreSuite):
    pytestmark = pytest.mark.anyio
    durable = False

    @asynccontextmanager
    async def open(self, place: str) -> AsyncIterator[MemoryEventStreamStore]:
        yield MemoryEventStreamStore()
