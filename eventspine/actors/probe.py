"""A sentinel: one event written to a backend, read back and deleted, to see that it works.

Its stream is of a tenant of its own, so that no route's streams are touched.
"""

from __future__ import annotations

import time

import anyio
from msgspec import Raw

from eventspine.actors.append import Stamp
from eventspine.actors.host import Request, StreamHost
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.ids import path_segment
from eventspine.contracts.stores import EventStreamStore
from eventspine.contracts.wire import Draft, WallClock, encode_json

PROBE_TENANT = "eventspine-probe"  # see PROBE_KEYS in actors/host.py
PROBE_S_MAX = 10.0
_STREAM = "sentinel"


async def probe(
    host: StreamHost, mode: str, steps: list[str], *, deadline_s: float = PROBE_S_MAX
) -> None:
    """Put the sentinel through an open backend, adding each step that worked to `steps`.

    Raises what the backend raises; TimeoutError after `deadline_s`.
    """
    key = f"event_stream/{PROBE_TENANT}/{path_segment(mode)}/_/{_STREAM}"
    routing = {"tenant_id": PROBE_TENANT, "env": mode, "mode": mode, "project_id": "default"}
    address = b'"stream_id":"%b","routing":%b,' % (_STREAM.encode(), encode_json(routing))
    draft = Draft(event_type="probe", payload=Raw(b"{}"))
    request = Request(
        [draft], Stamp(mode, b"{}", {}), WallClock(time.time).read(), address, expected=None
    )
    with anyio.fail_after(deadline_s):
        appended = await host.append(key, request)
        steps.append("write")
        (sequence,) = appended.sequences
        found = list(await host.open_store().read(key, sequence, 1, host.limits.page_bytes_max))
        if found != list(appended.lines):
            raise StoreCorrupt("the sentinel that was read is not the one that was written")
        steps.append("read")
        await host.delete_stream(key, mode)
        steps.append("delete")


async def probe_store(
    store: EventStreamStore, host: StreamHost, mode: str, steps: list[str]
) -> None:
    """The same through a store that nobody serves. The caller closes it."""
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(host.serve, store)
            await probe(host, mode, steps)
            tasks.cancel_scope.cancel()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
