"""Direct delivery: what is new goes from its stream to the socket while the reader's task sleeps.

Job: a sink over one answer of uvicorn's. Only bodies of answers that are under way go through it;
headers, history, heartbeats, gaps, ends and every reader that is behind stay with the ASGI task,
which is the reference: behind another server, or with `http.direct_delivery` off, it does all.
Rules: the task waits in `Subscription.next` whenever the sink is used, so the two never write at
once. A reader whose socket holds `reader_lag_bytes_max` unsent bytes is refused (the transport has
then paused its protocol); its task wakes, waits in `send` for the socket, and pulls from there on.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from eventspine.api.call import Call
from eventspine.api.live import sse
from eventspine.contracts.answers import TailSlice
from eventspine.contracts.settings import HttpSettings

WIRE = "eventspine.wire"  # a function: the Wire of this request's answer, or None


class Wire:
    __slots__ = ("_flow", "_transport", "_write")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._flow, self._transport = cycle.flow, cycle.transport
        self._write = cycle.transport.write

    def take(self, piece: TailSlice) -> bool:
        """Write the slice. False: it has too much to take already, or is gone."""
        if self._flow.write_paused or self._transport.is_closing():
            return False
        self._write(piece.block or sse.slice_block(piece))
        return True


def wire_of(cycle: RequestResponseCycle) -> Wire | None:
    """For answers that have begun and whose length nobody knows."""
    begun = cycle.response_started and not cycle.response_complete
    return Wire(cycle) if begun and cycle.chunked_encoding else None


def wire_for(call: Call, http: HttpSettings) -> Wire | None:
    """The wire of this answer, if the server has one and the operator wants it used."""
    extension = call.extension(WIRE)
    if extension is None or not http.direct_delivery:
        return None
    wire: Wire | None = extension()
    return wire
