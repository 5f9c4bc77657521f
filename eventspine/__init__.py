"""eventspine: durable, ordered event streams for many tenants, in your process or over HTTP.

async with eventspine.open("var", lab=True) as spine:
    await spine.append("thread_1", {"event_type": "note", "payload": {"text": "hi"}}, context)
"""

from eventspine.blocking import BlockingSpine, open_blocking
from eventspine.bootstrap import init_root as init
from eventspine.bootstrap import open_spine as open
from eventspine.contracts.answers import Appended, Head, Page, TailSlice
from eventspine.contracts.context import RequestContext
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.event import EventMetadata, EventRouting, NewEvent, StreamEvent
from eventspine.contracts.settings import Settings
from eventspine.contracts.version import VERSION
from eventspine.services.current import current_registry, emit_audit_event, routing_registry
from eventspine.services.spine import Spine

__version__ = VERSION
__all__ = [
    "Appended",
    "BlockingSpine",
    "Cursor",
    "EventMetadata",
    "EventRouting",
    "Head",
    "NewEvent",
    "Page",
    "RequestContext",
    "Settings",
    "Spine",
    "StreamEvent",
    "TailSlice",
    "current_registry",
    "emit_audit_event",
    "init",
    "open",
    "open_blocking",
    "routing_registry",
]
