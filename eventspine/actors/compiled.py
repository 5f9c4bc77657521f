"""The compiled way of a plain append, made for one host: what it has to know of our types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from eventspine.actors.stream import EVENTS, Commit, StreamActor
from eventspine.contracts.answers import Appended
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.limits import Limits
from eventspine.contracts.wire import event_type_json
from eventspine.native import core
from eventspine.runtime.cell import Cell
from eventspine.runtime.directory import Directory
from eventspine.runtime.ticket import Ticket
from eventspine.runtime.writer import Writer


def short_way(
    directory: Directory[StreamActor],
    writer: Writer[Any],
    new_ticket: Callable[[], Ticket[Any]],
    limits: Limits,
) -> Any:
    """A ShortWay, or None where the module was not compiled."""
    if core is None:
        return None
    return core.ShortWay(
        directory=directory,
        population=directory._population,
        writer=writer,
        cell_type=Cell,
        actor_type=StreamActor,
        commit_type=Commit,
        cursor_type=Cursor,
        appended_type=Appended,
        events_kind=EVENTS,
        new_ticket=new_ticket,
        dumps=orjson.dumps,
        event_type_json=event_type_json,
        event_bytes_max=limits.event_bytes_max,
        bytes_waiting_max=limits.commit_bytes_waiting_max,
    )
