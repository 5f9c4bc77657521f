"""Waiting until nothing goes on behind the appends, so that a measurement is of them alone."""

from __future__ import annotations

import asyncio

import eventspine


async def quiet(spine: eventspine.Spine, settle_s: float) -> None:
    """Until the files hold everything, and a little longer: the background costs processor too."""

    def is_behind() -> bool:
        stores = [host.store for host in spine.statistics().hosts]
        return any(store is not None and store.details["unflushed_streams"] for store in stores)

    while is_behind():  # noqa: ASYNC110 - the flusher tells nobody
        await asyncio.sleep(0.1)
    await asyncio.sleep(settle_s)
